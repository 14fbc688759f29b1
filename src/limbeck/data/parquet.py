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
    columns = [_values(column) for column in batch.columns]
    problems = {row: problem for _, found in columns for row, problem in found.items()}
    for row, values in enumerate(zip(*(values for values, _ in columns), strict=True)):
        yield values, problems.get(row)


def _values(column: pa.Array) -> tuple[list[object], dict[int, str]]:
    """The values of a column, and what is wrong with some of them, by row."""
    try:
        return column.to_pylist(), {}
    except (ValueError, OverflowError):
        if pa.types.is_temporal(column.type):  # Python knows no year beyond 9999, and no nanoseconds
            return column.cast(pa.string()).to_pylist(), {}
    read = [_value(scalar) for scalar in column]
    return [value for value, _ in read], {row: problem for row, (_, problem) in enumerate(read) if problem}


def _value(scalar: pa.Scalar) -> tuple[object, str | None]:
    """One value, and what is wrong with it: Arrow does not check that strings are UTF-8, nor that Python has a time."""
    if isinstance(scalar, pa.DictionaryScalar):
        scalar = scalar.value
    if isinstance(scalar, pa.StringScalar | pa.LargeStringScalar):
        buffer = scalar.as_buffer()
        text = "" if buffer is None else buffer.to_pybytes().decode("utf-8", "surrogateescape")
        return None if buffer is None else text, character_problem(text)
    try:
        return scalar.as_py(), None
    except (ValueError, OverflowError) as error:
        return None, f"a value that cannot be read: {error}"
