"""`limbeck augment`: labelled text in; its splits out, with more training rows made of those there are."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator

from limbeck.augmentation.eda import (
    Synonyms,
    change_each,
    delete_words,
    insert_synonyms,
    replace_by_synonyms,
    swap_words,
)
from limbeck.augmentation.made import Counts, Make, Method, Sides, make_rows
from limbeck.augmentation.masked import load_masked_model, replace_by_model
from limbeck.augmentation.synonyms import NEAREST, base_vectors, distinct_words, nearest_words, read_word_vectors
from limbeck.augmentation.tinybert import CANDIDATES, PROBABILITY, replace_each
from limbeck.augmentation.translation import load_translator, translate_back
from limbeck.console import notes, progress_bar, stage
from limbeck.data import Columns, Dataset, load_splits
from limbeck.errors import UsageError
from limbeck.measure import usable_cpus
from limbeck.nn.resolve import resolve_base
from limbeck.recipes.arguments import check_numbers
from limbeck.recipes.augment_notes import outcome_lines
from limbeck.recipes.augmented_files import SplitFormat, check_place, check_source, write_splits
from limbeck.recipes.train import DEFAULT_BASE

EDA: tuple[Method, ...] = ("synonyms", "insert", "delete", "swap")
OF_VECTORS, OF_MASKS = {"synonyms", "insert", "tinybert"}, {"masked", "tinybert"}
SHARE, TOP_K = 0.1, 10


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
    methods = tuple(dict.fromkeys(method))
    _check_methods(methods, word_vectors, there, back, beams, copies)
    check_place(out)
    with stage("Reading the data"):
        check_source(data)
        columns = Columns(text, pair, label, pair_separator, label_separator)
        skipped = out.parent / f"{out.name}-skipped.jsonl" if skip_bad_rows else None
        splits = load_splits(data, columns, task=task, skipped=skipped)
        notes(splits.notes)
    train = splits.train
    _check_task(methods, splits.task, sides, train.pairs is not None, format)
    torch.set_num_threads(usable_cpus())  # the default counts cores and cannot see a container's quota
    device = Accelerator().device

    makers: dict[Method, Make] = {
        "delete": partial(change_each, change=partial(delete_words, share=share or SHARE)),
        "swap": partial(change_each, change=partial(swap_words, share=share or SHARE)),
    }
    with stage("Loading what the methods need"), tempfile.TemporaryDirectory() as place:
        if {"synonyms", "insert"} & set(methods):
            near = _nearest(train, word_vectors, base, NEAREST)
            replace = partial(replace_by_synonyms, share=share or SHARE, synonyms=near)
            insert = partial(insert_synonyms, share=share or SHARE, synonyms=near)
            makers["synonyms"] = partial(change_each, change=replace)
            makers["insert"] = partial(change_each, change=insert)
        if OF_MASKS & set(methods):
            model = load_masked_model(resolve_base(base), Path(place), device)
            makers["masked"] = partial(
                replace_by_model,
                masked_model=model,
                share=share or SHARE,
                top_k=top_k or TOP_K,
                budget_tokens=budget_tokens,
            )
        if "tinybert" in methods:
            # By its embeddings only words of one piece are near to any, and those are masked.
            near = _nearest(train, word_vectors, base, top_k or CANDIDATES) if word_vectors else {}
            if not word_vectors:
                notes(("words of several pieces stay: --word-vectors FILE would give them near ones",))
            makers["tinybert"] = partial(
                replace_each,
                masked_model=model,
                synonyms=near,
                share=share or PROBABILITY,
                top_k=top_k or CANDIDATES,
                budget_tokens=budget_tokens,
            )
        if "back-translation" in methods and there and back:
            makers["back-translation"] = partial(
                translate_back,
                there=load_translator(there, language, pivot, device),
                back=load_translator(back, pivot, language, device),
                beams=beams,
                top_k=top_k or TOP_K,
                budget_tokens=budget_tokens,
            )

    texts = len(train) * copies * (2 if train.pairs is not None and sides == "both" else 1)
    with stage("Making rows"):
        with progress_bar("texts", texts * len(methods)) as update:
            made = make_rows(
                splits,
                {name: makers[name] for name in methods},
                copies=copies,
                sides=sides,
                seed=seed,
                progress=lambda name: lambda done: update(methods.index(name) * texts + done, name),
            )
        notes(outcome_lines(made, train))
    write_splits(out, splits, made, format)
    rows = (len(train), len(made.rows), len(splits.dev), len(splits.test))
    return Augmented(str(out), splits.task, *rows, made.counts)


def _check_methods(
    methods: Sequence[Method], word_vectors: Path | None, there: str | None, back: str | None, beams: int, copies: int
) -> None:
    """Raise one `UsageError` for all that is missing or means nothing to the methods."""
    translates = "back-translation" in methods
    wrong = []
    if not methods:
        wrong.append("no --method")
    if translates and not (there and back):
        wrong.append("--method back-translation needs two translation models: --there MODEL --back MODEL")
    if not translates and (there or back or beams):
        wrong.append("--there, --back and --beams are for --method back-translation")
    if beams and copies > 1:
        wrong.append("--beams finds the one best translation: drop it, or --copies")
    if word_vectors and not OF_VECTORS & set(methods):
        wrong.append("--word-vectors are for --method synonyms, insert and tinybert")
    if wrong:
        raise UsageError("; ".join(wrong))


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


def _nearest(train: Dataset, word_vectors: Path | None, base: str, nearest: int) -> Synonyms:
    """The words near to those of the texts, by a file of word vectors or else by the embeddings of `base`."""
    words = distinct_words([*train.texts, *(train.pairs or [])])
    known = read_word_vectors(word_vectors, frozenset(words)) if word_vectors else base_vectors(resolve_base(base))
    found = nearest_words(words, known, nearest=nearest)
    notes((f"{len(found):,} of {len(words):,} words have synonyms",))
    return found
