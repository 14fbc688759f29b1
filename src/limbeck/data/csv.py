"""Comma- and tab-separated files.

`.csv` is RFC 4180: quotes hold separators and line ends; the separator is seen from the header. `.tsv` is the
IANA format, without quoting: a quotation mark is a character as any other, as in the files of GLUE.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from limbeck.data.problems import character_problem
from limbeck.data.records import Record, Table
from limbeck.data.textfile import check_header, open_text
from limbeck.errors import DataError

SEPARATORS = (",", ";", "\t")
# Long enough for any document in a cell, short enough to notice a quote that is never closed.
MAX_FIELD_CHARACTERS = 4_000_000


def open_csv(path: Path) -> Table:
    """A `.csv` file as a table.

    Raises:
        DataError: the file is empty, holds nothing but a header, or its header names a column twice.
    """
    with open_text(path, newline="") as file:
        head = file.readline()
        separator = sniff_separator(head)
        file.seek(0)
        _, header, problem = next(_csv_rows(file, separator), (1, [], None))
    if problem is not None:
        raise DataError(f"{path.name}, line 1: {problem}")
    return _table(path, header, separator)


def open_tsv(path: Path) -> Table:
    """A `.tsv` file as a table.

    Raises:
        DataError: the file is empty, holds nothing but a header, or its header names a column twice.
    """
    with open_text(path, newline="\n") as file:
        _, header, _ = next(_tsv_rows(file), (1, [], None))
    return _table(path, header, None)


def sniff_separator(header: str) -> str:
    """The most frequent of comma, semicolon and tab outside quotes; a comma where there is none."""
    bare = "".join(header.split('"')[::2])
    return max(SEPARATORS, key=bare.count)


Row = tuple[int, list[str], str | None]
"""The line where a row begins, its values, and what is wrong with it."""


def _table(path: Path, header: list[str], separator: str | None) -> Table:
    if not header:
        raise DataError(f"{path.name} is empty")
    if wrong := character_problem("".join(header)):
        raise DataError(f"{path.name}, line 1: {wrong}. Save the file as UTF-8.")
    columns = check_header(path.name, header)

    def records() -> Iterator[Record]:
        with open_text(path, newline="\n" if separator is None else "") as file:
            rows = _tsv_rows(file) if separator is None else _csv_rows(file, separator)
            next(rows)
            for row in rows:
                yield _record(columns, *row)

    if next(records(), None) is None:
        raise DataError(f"{path.name} holds a header and no rows")
    return Table(path.name, "line", columns, records)


def _record(columns: tuple[str, ...], line: int, values: list[str], problem: str | None) -> Record:
    if problem is not None:
        return Record(line, {"line": values[0]}, problem)
    fields: dict[str, object] = dict(zip(columns, values, strict=False))
    if len(values) != len(columns):
        problem = f"expected {len(columns)} fields, got {len(values)}"
        fields |= {"(more)": values[len(columns) :]} if len(values) > len(columns) else {}
    return Record(line, fields, problem or character_problem("\t".join(values)))


def _tsv_rows(file: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        bare = line.rstrip("\r\n")
        if bare:
            yield number, bare.split("\t"), None


def _csv_rows(file: Iterable[str], separator: str) -> Iterator[Row]:
    """Rows of a quoted file; after a broken row, reading goes on with the line after the one where it began.

    So a quote that is never closed costs its own row only, and not the rest of the file.
    """
    if csv.field_size_limit() < MAX_FIELD_CHARACTERS:
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
    lines = iter(file)
    again: deque[str] = deque()
    taken: list[str] = []

    def feed() -> Iterator[str]:
        while True:
            line = again.popleft() if again else next(lines, None)
            if line is None:
                return
            taken.append(line)
            yield line

    reader = csv.reader(feed(), delimiter=separator, strict=True)
    start = 1
    while True:
        taken.clear()
        try:
            values = next(reader, None)
        except csv.Error as error:
            yield start, [taken[0].rstrip("\r\n")], _quote_problem(str(error), start, len(taken))
            again.extendleft(reversed(taken[1:]))
            start += 1
            # A fresh one: the old one's source may be spent.
            reader = csv.reader(feed(), delimiter=separator, strict=True)
            continue
        if values is None:
            return
        if values:
            yield start, values, None
        start += len(taken)


def _quote_problem(error: str, start: int, lines: int) -> str:
    """The csv module's message in words that name the line where the quote was opened."""
    if "unexpected end" in error or "field limit" in error:
        return f"the quote opened on line {start} is never closed"
    if "expected after" in error:
        closed = "" if lines == 1 else f" (opened on line {start}, closed on line {start + lines - 1})"
        return f"a quoted field goes on after its closing quote{closed}; inside quotes, write a quote twice"
    return f"not valid CSV: {error}"
