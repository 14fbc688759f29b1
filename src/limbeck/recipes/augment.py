"""`limbeck augment`: labelled text in; its splits out, with more training rows made of those there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator

from limbeck.augmentation.made import Counts, Method, Sides, make_rows
from limbeck.console import notes, progress_bar, stage
from limbeck.data import Columns, load_splits
from limbeck.errors import UsageError
from limbeck.measure import usable_cpus
from limbeck.recipes.arguments import check_numbers
from limbeck.recipes.augmenting.files import SplitFormat, check_place, check_source, write_splits
from limbeck.recipes.augmenting.methods import EDA, Asked, makers_of
from limbeck.recipes.augmenting.notes import outcome_lines
from limbeck.recipes.skipped import skipped_beside, skipped_rows
from limbeck.recipes.train import DEFAULT_BASE


@dataclass(frozen=True, slots=True)
class Augmented:
    """What was written: `train_rows` as they were and `made_rows` made of them, with the counts of each method."""

    folder: str
    task: str
    train_rows: int
    made_rows: int
    dev_rows: int
    test_rows: int
    methods: Mapping[Method, Counts]

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.train_rows:,} training rows and {self.made_rows:,} made of them; "
            f"{self.dev_rows:,} dev and {self.test_rows:,} test rows as they were\n"
            f"next: limbeck train {self.folder} --task {self.task} --out model"
        )


def augment(
    data: str,
    *,
    out: str | Path,
    method: tuple[Method, ...] = EDA,
    copies: int = 1,
    share: float | None = None,
    word_vectors: Path | None = None,
    base: str = DEFAULT_BASE,
    there: str | None = None,
    back: str | None = None,
    language: str | None = None,
    pivot: str | None = None,
    beams: int = 0,
    top_k: int | None = None,
    sides: Sides = "both",
    task: Literal["classify", "multilabel", "regress", "tag"] | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    pair_separator: str | None = None,
    label_separator: str | None = None,
    skip_bad_rows: bool = False,
    format: SplitFormat = "jsonl",
    budget_tokens: int = 8192,
    seed: int = 0,
) -> Augmented:
    """Make more training rows and write all splits, dev and test as they are, to a folder to train on.

    DATA is split as `limbeck train` would split it, and rows are made of training rows alone. Each keeps the label of
    the row it was made of.

    Example: `limbeck augment reviews.csv --out more`

    Parameters
    ----------
    data
        A CSV, TSV, JSON, JSONL, Parquet or CoNLL file, a folder with train/validation/test files or texts, or a hub
        dataset.
    out
        The folder to write: train, dev and test, each one file.
    method
        What to do to a text; several may be named, each makes its own rows. The first four, of easy data augmentation,
        are the default.
    copies
        Rows to make of each row with each method.
    share
        The share of a text's words that is changed, one word at least, by default 0.1; for tinybert the probability
        of each, by default 0.4.
    word_vectors
        Take synonyms from this text file of word vectors (GloVe, word2vec; plain or .gz); by default from the base's
        embeddings, and for tinybert from nowhere.
    base
        The encoder whose word embeddings give synonyms, and the masked language model: a hub id, a folder, or
        package:NAME/path.
    there
        The translation model from the language of the texts into another.
    back
        The translation model from that one back.
    language
        The texts' language, as a translation model of several languages calls it.
    pivot
        The other language, as a translation model of several languages calls it.
    beams
        Search for the best translation with so many beams; by default it is drawn word piece by word piece.
    top_k
        A model's words, or word pieces, are drawn from so many of the likeliest; by default 10, and 15 for tinybert.
    sides
        Which texts of a pair are changed.
    task
        What will be learnt; by default seen from the labels.
    text
        The column of the text; by default found by its usual names.
    pair
        The column of the second text of a pair.
    label
        The column of the label; several columns of 0 and 1 (`a,b,c`) are one task of many labels.
    pair_separator
        What splits the text column into a pair, such as '|||'.
    label_separator
        What splits the label column into many labels, such as '|'.
    skip_bad_rows
        Leave bad rows out, count them and write them to OUT-skipped.jsonl.
    format
        The format of the three files.
    budget_tokens
        The most tokens that a model computes at once.
    seed
        The seed of everything random; the same seed gives the same files.
    """
    check_numbers(**locals())
    out = Path(out)
    asked = Asked(
        methods=tuple(dict.fromkeys(method)),
        copies=copies,
        share=share,
        word_vectors=word_vectors,
        base=base,
        there=there,
        back=back,
        language=language,
        pivot=pivot,
        beams=beams,
        top_k=top_k,
        budget_tokens=budget_tokens,
    )
    asked.check()
    check_place(out)
    with skipped_rows(skipped_beside(out) if skip_bad_rows else None) as skipped:
        with stage("Reading the data"):
            check_source(data)
            columns = Columns(text, pair, label, pair_separator, label_separator)
            splits = load_splits(data, columns, task=task, skipped=skipped)
            notes(splits.notes)
        train = splits.train
        _check_task(asked.methods, splits.task, sides, train.pairs is not None, format)
        torch.set_num_threads(usable_cpus())  # the default counts cores and cannot see a container's quota
        with stage("Loading what the methods need"):
            makers = makers_of(asked, train, Accelerator().device)
        texts = len(train) * copies * (2 if train.pairs is not None and sides == "both" else 1)
        with stage("Making rows"):
            with progress_bar("texts", texts * len(makers)) as update:
                made = make_rows(
                    splits,
                    makers,
                    copies=copies,
                    sides=sides,
                    seed=seed,
                    progress=lambda name: lambda done: update(asked.methods.index(name) * texts + done, name),
                )
            notes(outcome_lines(made, train))
        write_splits(out, splits, made, format)
    rows = (len(train), len(made.rows), len(splits.dev), len(splits.test))
    return Augmented(str(out), splits.task, *rows, made.counts)


def _check_task(methods: Sequence[Method], task: str, sides: Sides, pairs: bool, form: SplitFormat) -> None:
    """Raise one `UsageError` for arguments that the rows do not allow."""
    wrong = []
    if task == "answer":
        wrong.append("questions and contexts are not augmented: the places of the answers would be lost")
    if task == "tag" and "back-translation" in methods:
        wrong.append("--method back-translation loses the places of entities: choose other methods for the task tag")
    if task == "tag" and form == "csv":
        wrong.append("--format csv cannot hold entities: choose jsonl or parquet")
    if sides != "both" and not pairs:
        wrong.append(f"--sides {sides} is for pairs, and these rows hold one text each")
    if wrong:
        raise UsageError("; ".join(wrong))
