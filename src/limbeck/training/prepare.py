"""Labelled splits as token ids and targets, with `max_tokens` chosen from the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data import Dataset, Splits
from limbeck.data.sampling import JUDGED_ROWS, at_most
from limbeck.nn.losses import NOT_LEARNT
from limbeck.predictor import encode_labels, labelled_inputs, tokenize
from limbeck.tasks import Answer, AnyTask, Embed, Tag
from limbeck.tasks.answer import Gold
from limbeck.text import (
    LengthStatistics,
    Tokenizer,
    Tokens,
    length_histogram,
    length_statistics,
    suggest_max_tokens,
)
from limbeck.training.frozen import Below

READING_TOKENS = 384  # as the BERT paper reads contexts
LENGTH_SAMPLE = 5_000  # rows whose lengths decide max_tokens


@dataclass(frozen=True, slots=True)
class TokenizedSplit:
    """Texts as token ids, one row or several windows a text, with one target a row, and where they came from.

    Rows of several `parts`, read apart, have all their first texts before all second ones. The last `unlabelled` of the
    dataset have no label: their targets stand for none. `below` is what frozen layers give for the rows, if it is kept.
    """

    rows: list[Tokens]
    targets: NDArray[np.generic]
    dataset: Dataset
    parts: int = 1
    unlabelled: int = 0
    below: Below | None = None

    @property
    def examples(self) -> int:
        """How many rows are there to learn from."""
        return len(self.rows) // self.parts

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether each example has a label, `[examples]`."""
        known = len(self.dataset) - self.unlabelled
        return np.array([row.row < known for row in self.rows[: self.examples]], dtype=np.bool_)

    @property
    def labelled_targets(self) -> NDArray[np.generic]:
        """The targets of those that have one."""
        return self.targets[: len(self.targets) - self.unlabelled]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a training reads.

    The lengths are those of training texts, nothing cut; `truncated` of all training rows are longer than `max_tokens`.
    """

    train: TokenizedSplit
    dev: TokenizedSplit
    test: TokenizedSplit
    lengths: LengthStatistics
    length_histogram: dict[str, list[int]]
    max_tokens: int
    truncated: int


def prepare(splits: Splits, tokenizer: Tokenizer, task: AnyTask, *, max_tokens: int | None, limit: int) -> Prepared:
    """Tokenise all splits; `limit` is the most tokens the encoder reads."""
    samples = [at_most(split, LENGTH_SAMPLE) for split in (splits.train, splits.dev, splits.test)]
    lengths = [tokenizer.lengths(*labelled_inputs(task, sample)) for sample in samples]
    # Held-out texts may be the longer ones: phrases to train on, whole sentences to answer.
    if task.name == "answer":  # windows lose nothing, and cost less than the longest inputs
        limit = min(limit, READING_TOKENS)
    chosen = max_tokens or max(suggest_max_tokens(found, limit=limit) for found in lengths if found)
    train = tokenized(splits.train, tokenizer, task, max_tokens=chosen)
    return Prepared(
        train=train,
        dev=tokenized(at_most(splits.dev, JUDGED_ROWS), tokenizer, task, max_tokens=chosen),
        test=tokenized(at_most(splits.test, JUDGED_ROWS), tokenizer, task, max_tokens=chosen),
        lengths=length_statistics(lengths[0]),
        length_histogram=length_histogram(lengths[0]),
        max_tokens=chosen,
        truncated=sum(row.truncated_tokens > 0 for row in train.rows),
    )


def tokenized(dataset: Dataset, tokenizer: Tokenizer, task: AnyTask, *, max_tokens: int) -> TokenizedSplit:
    """A dataset as token ids, long texts truncated (for a tagger read in windows), with its targets."""
    rows = tokenize(tokenizer, task, *labelled_inputs(task, dataset), max_tokens=max_tokens)
    parts = task.parts if isinstance(task, Embed) else 1
    return TokenizedSplit(rows, encode_labels(task, dataset, rows), dataset, parts)


def training_targets(task: AnyTask, split: TokenizedSplit) -> NDArray[np.generic]:
    """What each row is trained on: the target of its text, or where rows have units a tag for each token.

    Tags are int64 `[rows, tokens of the longest row]`, NOT_LEARNT where no unit has its first piece. To embed, pairs
    and triplets have numbers, int64 `[rows]`, that are equal where the second texts are; scores are taken from 0 to 1.
    Answers are the tokens where the first right one starts and ends, int64 `[rows, 2]`, 0 in windows that lack it.
    """
    if isinstance(task, Embed):
        if task.learnt_from == "scored":
            scores = split.targets.astype(np.float32)
            return np.asarray((scores - scores.min()) / np.ptp(scores))
        return _numbered(split.rows[split.examples : 2 * split.examples])
    if isinstance(task, Answer):
        return np.array([_answer_places(row, split.targets[row.row]) for row in split.rows], dtype=np.int64)
    if split.rows[0].units is None:
        return split.targets[[row.row for row in split.rows]]
    found = np.full((len(split.rows), max(map(len, split.rows))), NOT_LEARNT, dtype=np.int64)
    for i, row in enumerate(split.rows):
        if row.units is not None:
            found[i, row.units.positions] = split.targets[row.row, row.units.numbers]
    return found


def _answer_places(row: Tokens, gold: Gold) -> tuple[int, int]:
    if not gold.units or row.units is None:
        return 0, 0
    places = dict(zip(row.units.numbers.tolist(), row.units.positions.tolist(), strict=True))
    first, last = gold.units[0]
    return (places[first], places[last]) if first in places and last in places else (0, 0)


def _numbered(texts: Sequence[Tokens]) -> NDArray[np.generic]:
    numbers = {ids: number for number, ids in enumerate(dict.fromkeys(text.input_ids.tobytes() for text in texts))}
    return np.array([numbers[text.input_ids.tobytes()] for text in texts], dtype=np.int64)


def standardise(targets: NDArray[np.floating]) -> tuple[float, float]:
    """Mean and standard deviation of regression targets; a constant target has deviation 1."""
    return float(targets.mean()), float(targets.std()) or 1.0


def label_counts(task: AnyTask, targets: NDArray[np.generic]) -> dict[str, int]:
    """Rows of each label, entities of each for `tag`; empty for tasks without labels."""
    if not task.labels:
        return {}
    if isinstance(task, Tag):
        labels = task.counts_by_label(targets.astype(np.int16), targets.astype(np.int16))[:, 1]
        return dict(zip(task.labels, labels.astype(int).tolist(), strict=True))
    if task.name == "classify":
        counts: Sequence[int] = np.bincount(targets.astype(np.int64), minlength=task.outputs).tolist()
    else:
        counts = targets.astype(np.int64).sum(axis=0).tolist()
    return dict(zip(task.labels, counts, strict=True))
