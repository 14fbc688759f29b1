"""Predictions to a file or standard output, a chunk at a time: JSONL, CSV, Parquet, or a table for people."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

import msgspec

from limbeck.data.written import Rows, Write, check_columns, columns_of
from limbeck.errors import UsageError
from limbeck.files import replace_when_written

OutputFormat = Literal["table", "jsonl", "csv", "parquet"]
_USUAL = {"truncated_tokens": 0, "windows": 1}  # a table for people leaves out what is as usual in all rows
_SUFFIXES: dict[str, OutputFormat] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def format_of(output: Path | None, said: OutputFormat | None, *, terminal: bool) -> OutputFormat:
    """The format to write: what was said, else the file's suffix, else a table on a terminal and JSONL into a pipe.

    Raises `UsageError` for a suffix that says nothing, and for Parquet on standard output.
    """
    if output is None:
        chosen = said or ("table" if terminal else "jsonl")
        if chosen == "parquet":
            raise UsageError("Parquet cannot go to standard output: name a file with --output")
        return chosen
    chosen = said or _SUFFIXES.get(output.suffix.lower())  # type: ignore[assignment]
    if chosen not in ("jsonl", "csv", "parquet"):
        raise UsageError(f"--output {output}: expected a name ending in .jsonl, .csv or .parquet, or --format")
    return chosen


@contextmanager
def open_writer(output: Path | None, form: OutputFormat, example: Mapping[str, Any] | None = None) -> Iterator[Write]:
    """A function that writes rows in `form`; a file is there only when all of it is written.

    The first rows written decide the columns of CSV and Parquet, and the `example` what is in lists that are empty
    there.

    Raises `DataError` for a later row that these columns cannot hold.
    """
    if output is None:
        yield _table if form == "table" else _text_writer(sys.stdout, form)
        sys.stdout.flush()
        return
    with replace_when_written(output) as beside:
        if form == "parquet":
            # pyarrow takes a while to import, and most runs write no Parquet.
            from limbeck.data.parquet_writer import open_parquet_writer

            with open_parquet_writer(beside, example or {}) as write:
                yield write
        else:
            with beside.open("w", encoding="utf-8", newline="") as file:
                yield _text_writer(file, form)


class _EndedByLineFeeds:
    """Takes rows that end in "\\r\\n": only so does the csv module before Python 3.13 quote a bare "\\r"."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> None:
        self._file.write(row.removesuffix("\r\n") + "\n")


def _text_writer(file: TextIO, form: OutputFormat) -> Write:
    writers: list[csv.DictWriter[str]] = []

    def jsonl(rows: Rows) -> None:
        for row in rows:
            file.write(_json(row) + "\n")

    def comma_separated(rows: Rows) -> None:
        if not writers and rows:
            writers.append(csv.DictWriter(_EndedByLineFeeds(file), columns_of(rows)))
            writers[0].writeheader()
        for row in rows:
            check_columns(row, writers[0].fieldnames, "CSV")
            writers[0].writerow({name: _flat(value) for name, value in row.items()})

    return jsonl if form == "jsonl" else comma_separated


def _json(row: Mapping[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:  # JSON has no NaN and no infinity, which a Parquet file may hold
        return json.dumps(json.loads(msgspec.json.encode(row, enc_hook=str)), ensure_ascii=False)


def _flat(value: object) -> object:
    """Lists and mappings as JSON, which the CSV reader takes back as several labels."""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value


def _table(rows: Rows) -> None:
    # Only people's terminals need rich; a pipe starts faster without it.
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    shown = [name for name in columns_of(rows) if any(row.get(name) != _USUAL.get(name) for row in rows)]
    table = Table(*shown)
    for row in rows:
        table.add_row(*(_cell(row.get(name, "")) for name in shown))
    Console().print(table, markup=False)


def _cell(value: object) -> str:
    if isinstance(value, dict):  # scores by label
        value = [
            f"{key} {number:.3f}" if isinstance(number, float) else f"{key} {number}" for key, number in value.items()
        ]
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else text[:77] + "…"
