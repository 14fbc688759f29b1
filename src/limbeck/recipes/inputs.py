"""Texts that a predictor is to read: the columns of files, and what comes as arguments or on standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

from limbeck.data import Columns, InputRow
from limbeck.data.columns import find_roles, named_in_training
from limbeck.data.problems import SHOWN, character_problem
from limbeck.data.sources import FORMATS, open_input
from limbeck.errors import UsageError
from limbeck.predictor import Predictor
from limbeck.tasks.records import RECORD_NAMES

REMEDY_OF_LINES = ". A file may hold bad rows: --input FILE --skip-bad-rows"
CHUNK_ROWS = 4_096  # enough rows to sort by length, little enough to hold


def input_columns(predictor: Predictor, said: Columns) -> Columns:
    """The columns that were named, else those of the training data where they were named then."""
    trained = predictor.bundle.manifest.source.columns
    text = said.text or trained["text"]
    if not predictor.model.pair:
        if said.pair or said.pair_separator:
            raise UsageError("this model reads one text a row, no pairs: drop --pair and --pair-separator")
        return Columns(text=text, pair="")  # no second text, whatever the file's columns are called
    if said.pair or said.pair_separator:
        return Columns(text=text, pair=said.pair, pair_separator=said.pair_separator)
    return Columns(text=text, pair=trained["pair"], pair_separator=trained["pair_separator"])


def input_place(predictor: Predictor, path: Path, columns: Columns, said: Columns) -> str:
    """What a row's number counts, for messages: `reviews.csv, line`; `columns` are `input_columns` of those `said`."""
    table = open_input(path)
    with named_in_training(said):
        roles = find_roles(table, columns, labelled=False)
    if taken := sorted(set(table.columns) & set(RECORD_NAMES)):
        raise UsageError(f"{table.name} has the columns {', '.join(taken)}, which predict writes itself: rename them")
    if predictor.model.pair and roles.pair is None and columns.pair_separator is None:
        raise UsageError(
            f"this model reads pairs, and {table.name} has one text a row: name the column of the second text "
            "with --pair, or what splits the text with --pair-separator '|||'"
        )
    return f"{table.name}, {table.unit}"


def refuse_file_names(texts: tuple[str, ...]) -> None:
    """Raise `UsageError` for a text that names a file of data: nobody asks what a file's name says."""
    named = [text for text in texts if Path(text).suffix in FORMATS and os.path.isfile(text)]
    if named:
        raise UsageError(f"{named[0]} is a file: name it with --input {named[0]}, or its texts on standard input")


def standard_input() -> Iterator[str]:
    """The lines of standard input."""
    if sys.stdin.isatty():
        sys.stderr.write("Reading texts from the terminal, one a line; end with Ctrl-D.\n")
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # a broken byte is the row's problem
    for line in sys.stdin:
        yield line.rstrip("\r\n")


def as_rows(
    texts: Iterable[str], place: str, separator: str | None, pair: bool, remedy: str = ""
) -> Iterator[InputRow]:
    """Texts that came without a file. All that is wrong with those of a chunk is one `UsageError`, with its remedy."""
    if pair and separator is None:
        raise UsageError(
            "this model reads pairs: say what splits each text with --pair-separator '|||', as in "
            "limbeck predict MODEL 'first text ||| second text' --pair-separator '|||'"
        )
    numbered = enumerate(texts, start=1)
    while chunk := list(islice(numbered, CHUNK_ROWS)):
        wrong = [
            f"{place} {number} {problem}: {text!r:.60}"
            for number, text in chunk
            if (problem := _problem(text, separator if pair else None))
        ]
        if wrong:
            more = f"; and {len(wrong) - SHOWN} more" * (len(wrong) > SHOWN)
            raise UsageError(f"{'; '.join(wrong[:SHOWN])}{more}{remedy}")
        for number, text in chunk:
            if not pair:
                yield InputRow(number, text, None, {"text": text})
            else:
                first, second = (part.strip() for part in text.split(separator))
                yield InputRow(number, first, second, {"text": first, "pair": second})


def _problem(text: str, separator: str | None) -> str | None:
    if problem := character_problem(text):
        return f"is {problem}" if problem.startswith("not") else f"has {problem}"
    if not text.strip():
        return "is empty"
    if separator is None:
        return None
    parts = text.split(separator)
    if len(parts) != 2:
        return f"has {separator!r} {len(parts) - 1} times, and --pair-separator expects it once"
    return None if all(part.strip() for part in parts) else f"is empty on one side of {separator!r}"
