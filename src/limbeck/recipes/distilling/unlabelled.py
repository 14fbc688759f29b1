"""Rows without labels to be distilled on: read, less those that judge, and put behind the training rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from limbeck.bundle import Bundle
from limbeck.data import Columns, Dataset, Splits, check_input, stream_input
from limbeck.data.carve import row_keys, text_key
from limbeck.data.records import USUAL, InputRow, Table
from limbeck.data.sources import open_input
from limbeck.distillation.wanted import Weights
from limbeck.errors import DataError, UsageError
from limbeck.recipes.augmenting.files import is_augmented
from limbeck.tasks import AnyTask, Label
from limbeck.tasks.embed import learnt_from
from limbeck.text import Tokenizer
from limbeck.training.prepare import Prepared, tokenized

OF_SEVERAL = ("multilabel", "tag", "answer")  # tasks of rows that may have no label, entity or answer at all


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """Texts, or pairs of texts, without labels, and what is to be said of them."""

    texts: list[str]
    pairs: list[str] | None
    notes: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Hash of their content, in their order."""
        return hashlib.sha256(json.dumps([self.texts, self.pairs]).encode()).hexdigest()


def read_unlabelled(
    sources: Sequence[str], bundle: Bundle, said: Columns, splits: Splits, weights: Weights, skipped: Path | None
) -> Unlabelled:
    """The rows of the files or folders of texts at `sources`, but those whose texts judge.

    Args:
        sources: as `limbeck predict --input` reads them, each once.
        bundle: the teacher's; its columns are taken where none is named.
        said: the columns; that of the label is not looked at.
        splits: the labelled rows.
        weights: what is learnt.
        skipped: as for `load_splits`, with the number of the source put behind the name's stem.

    Raises:
        DataError: rows cannot be used, none is left, or they have one text where the labelled ones have two.
        UsageError: nothing but labels is to be learnt, or the labelled rows are triplets.
    """
    if not sources:
        return Unlabelled([], None, ())
    check_heeded(sources, weights)
    if splits.task == "embed" and learnt_from(splits.train.labels) == "triplets":
        raise UsageError("--unlabelled: the rows are triplets, and rows without labels have two texts: distil on pairs")
    pairs = splits.train.pairs is not None
    rows: list[InputRow] = []
    left_out = 0
    for number, source in enumerate(dict.fromkeys(sources), start=1):
        columns = _columns(open_input(source), bundle, said, pairs)
        place = skipped and skipped.with_stem(f"{skipped.stem}-{number}")
        left_out += check_input(source, columns, skipped=place).skipped
        rows += stream_input(source, columns, skip_bad_rows=skipped is not None)
    if pairs and any(row.pair is None for row in rows):
        raise DataError("--unlabelled: one text a row, and the labelled rows have two: name the second's column")
    judging = _judging(splits)
    kept = [row for row in rows if not judging & _keys(row, splits.task)]
    if not kept:
        raise DataError("--unlabelled: each row has the text of a dev or test row, so none may be learnt")
    notes = [f"Added {len(kept):,} rows without labels."]
    if len(kept) < len(rows):
        notes.append(f"Left out {len(rows) - len(kept):,} rows without labels that have the text of a dev or test row.")
    if left_out and skipped is not None:
        notes.append(f"Left out {left_out:,} bad rows without labels, written beside {skipped.name}.")
    seconds = [row.pair for row in kept if row.pair is not None]
    return Unlabelled([row.text for row in kept], seconds or None, tuple(notes))


def check_heeded(sources: Sequence[str], weights: Weights) -> None:
    """Raises `UsageError` for rows without labels where nothing but labels is to be learnt."""
    if sources and set(weights) == {"hard"}:
        raise UsageError("--unlabelled: of rows without labels hard learns nothing. Add soft=1 to --objective")


def with_unlabelled(prepared: Prepared, rows: Unlabelled, tokenizer: Tokenizer, task: AnyTask) -> Prepared:
    """`prepared` with the rows behind those to train on. Statistics of the texts stay those of the labelled ones."""
    if not rows.texts:
        return prepared
    known = prepared.train.dataset
    stand_in: Label = () if task.name in OF_SEVERAL else known.labels[0]
    dataset = Dataset(
        texts=[*known.texts, *rows.texts],
        pairs=None if known.pairs is None else [*known.pairs, *(rows.pairs or ())],
        labels=[*known.labels, *[stand_in] * len(rows.texts)],
        rows=[*known.rows, *range(1, len(rows.texts) + 1)],
    )
    train = tokenized(dataset, tokenizer, task, max_tokens=prepared.max_tokens)
    cut = sum(row.truncated_tokens > 0 for row in train.rows)
    return replace(prepared, train=replace(train, unlabelled=len(rows.texts)), truncated=cut)


def _columns(table: Table, bundle: Bundle, said: Columns, pairs: bool) -> Columns:
    """Where the texts stand: as named, else as in the teacher's data."""
    known = said if any(asdict(said).values()) else Columns(**bundle.manifest.source.columns)
    known = USUAL if is_augmented(table) else known
    if not pairs:
        return Columns(text=known.text, pair="")  # no second text, whatever the columns are called
    return Columns(text=known.text, pair=known.pair or None, pair_separator=known.pair_separator)


def _judging(splits: Splits) -> set[bytes]:
    """The keys of the rows that judge, and of their contexts, which stand on one side with all of their questions."""
    held_out = (splits.dev, splits.test)
    keys = {key for part in held_out for key in row_keys(part)}
    if splits.task == "answer":
        keys |= {text_key(context, None) for part in held_out for context in part.pairs or ()}
    return keys


def _keys(row: InputRow, task: str) -> set[bytes]:
    whole = text_key(row.text, row.pair)
    return {whole, text_key(row.pair, None)} if task == "answer" and row.pair is not None else {whole}
