"""Predictions to a Parquet file, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.data.written import Rows, Write, check_columns, columns_of
from limbeck.errors import DataError


@contextmanager
def open_parquet_writer(path: Path, example: Mapping[str, Any]) -> Iterator[Write]:
    """A function that writes rows to a Parquet file; the first rows and the `example` decide the columns' types."""
    writers: list[pq.ParquetWriter] = []

    def write(rows: Rows) -> None:
        columns = columns_of(rows) if not writers else writers[0].schema.names
        for row in rows:
            check_columns(row, columns, "Parquet")
        whole = [{name: row.get(name) for name in columns} for row in rows]
        try:
            found = pa.Table.from_pylist(whole).schema
            if not writers:
                like = {name: example.get(name) for name in columns}
                first = pa.Table.from_pylist([*whole, like]).schema
                fields = [pa.field(field.name, _open_to_text(field.type)) for field in first]
                writers.append(pq.ParquetWriter(path, pa.schema(fields), compression="zstd"))
            schema = writers[0].schema
            for name in columns:
                _check_keys(name, found.field(name).type, schema.field(name).type)
            writers[0].write_table(pa.Table.from_pylist(whole, schema=schema))
        except (pa.ArrowException, OverflowError) as error:
            raise DataError(
                "a column of the input holds values of several kinds, or too large ones, which Parquet cannot "
                f"({error}); the first rows decide the kind: write a .jsonl file"
            ) from error

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()
    if not writers:
        pq.write_table(pa.table({}), path)


def _open_to_text(kind: pa.DataType) -> pa.DataType:
    """What is empty in the first rows, a column or what its lists and mappings hold, may be text later."""
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_open_to_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _open_to_text(field.type)) for field in kind])
    return kind


def _check_keys(column: str, found: pa.DataType, known: pa.DataType) -> None:
    """Raise `DataError` for a key that the first rows had not: Arrow would leave it out without a word."""
    if pa.types.is_list(found) and pa.types.is_list(known):
        _check_keys(column, found.value_type, known.value_type)
    elif pa.types.is_struct(found) and pa.types.is_struct(known):
        kinds = {field.name: field.type for field in known}
        for field in found:
            if field.name not in kinds:
                raise DataError(
                    f"a later row has {field.name!r} in {column!r}, which the first rows have not, so that Parquet has "
                    "no place for it: write a .jsonl file"
                )
            _check_keys(column, field.type, kinds[field.name])
