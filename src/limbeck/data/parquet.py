"""Parquet files, read a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from limbeck.data.problems import character_problem
from limbeck.data.records import Record, Table
from limbeck.data.textfile import check_header
from limbeck.errors import DataError

BATCH_ROWS = 1024


def open_parquet(path: Path) -> Table:
    """A parquet file as a table.

    Raises:
        DataError: the file is empty, holds no rows, is not parquet, or names a column twice.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty")
    try:
        with parquet.ParquetFile(path) as file:
            names, count = file.schema_arrow.names, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name} is not a parquet file: {error}") from error
    if not count:
        raise DataError(f"{path.name} holds columns and no rows")
    columns = check_header(path.name, names)

    def records() -> Iterator[Record]:
        row = 0
        for batch in _batches(path):
            for values, problem in _rows(batch):
                row += 1
                yield Record(row, dict(zip(columns, values, strict=True)), problem)

    return Table(path.name, "row", columns, records)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name} is damaged: {error}") from error


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[tuple[object, ...], str | None]]:
    try:
        columns = [column.to_pylist() for column in batch.columns]
    except UnicodeDecodeError:
        yield from _rows_with_broken_text(batch)
        return
    for values in zip(*columns, strict=True):
        yield values, None


def _rows_with_broken_text(batch: pa.RecordBatch) -> Iterator[tuple[tuple[object, ...], str | None]]:
    """Arrow does not check that strings are UTF-8; here each value is decoded by itself, to find the bad ones."""
    for index in range(batch.num_rows):
        values = [_value(column[index]) for column in batch.columns]
        problems = (character_problem(value) for value in values if isinstance(value, str))
        yield tuple(values), next((problem for problem in problems if problem), None)


def _value(scalar: pa.Scalar) -> object:
    if isinstance(scalar, pa.StringScalar | pa.LargeStringScalar):
        buffer = scalar.as_buffer()
        return None if buffer is None else buffer.to_pybytes().decode("utf-8", "surrogateescape")
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return str(scalar.type)
