"""Predictions to a file or standard output, a chunk at a time: JSONL, CSV, Parquet, or a table for people."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.errors import UsageError
from limbeck.files import replace_when_written

OutputFormat = Literal["table", "jsonl", "csv", "parquet"]
Rows = Sequence[Mapping[str, Any]]
Write = Callable[[Rows], None]
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
def open_writer(output: Path | None, form: OutputFormat) -> Iterator[Write]:
    """A function that writes rows in `form`; a file is there only when all of it is written.

    The first rows written decide the columns of CSV and Parquet.
    """
    if output is None:
        yield _table if form == "table" else _text_writer(sys.stdout, form)
        sys.stdout.flush()
        return
    with replace_when_written(output) as beside:
        if form == "parquet":
            with _parquet_writer(beside) as write:
                yield write
        else:
            with beside.open("w", encoding="utf-8", newline="") as file:
                yield _text_writer(file, form)


def _text_writer(file: TextIO, form: OutputFormat) -> Write:
    writers: list[csv.DictWriter[str]] = []

    def jsonl(rows: Rows) -> None:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")

    def comma_separated(rows: Rows) -> None:
        if not writers and rows:
            writers.append(csv.DictWriter(file, list(rows[0]), lineterminator="\n", extrasaction="ignore"))
            writers[0].writeheader()
        for row in rows:
            writers[0].writerow({name: _flat(value) for name, value in row.items()})

    return jsonl if form == "jsonl" else comma_separated


def _flat(value: object) -> object:
    """Lists and mappings as JSON, which the CSV reader takes back as several labels."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


@contextmanager
def _parquet_writer(path: Path) -> Iterator[Write]:
    writers: list[pq.ParquetWriter] = []

    def write(rows: Rows) -> None:
        if not writers:
            table = pa.Table.from_pylist(list(rows))
            # A column that is empty in the first rows may hold text later.
            fields = [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
            writers.append(pq.ParquetWriter(path, pa.schema(fields), compression="zstd"))
        writers[0].write_table(pa.Table.from_pylist(list(rows), schema=writers[0].schema))

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()
    if not writers:
        pq.write_table(pa.table({}), path)


def _table(rows: Rows) -> None:
    # Only people's terminals need rich; a pipe starts faster without it.
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table, markup=False)


def _cell(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else text[:77] + "…"
