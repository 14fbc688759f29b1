"""Predictions to a Parquet file, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.data.written import Rows, Write, check_columns, columns_of
from limbeck.errors import DataError


@contextmanager
def open_parquet_writer(path: Path) -> Iterator[Write]:
    """A function that writes rows to a Parquet file; the first rows decide the columns and their types."""
    writers: list[pq.ParquetWriter] = []

    def write(rows: Rows) -> None:
        columns = columns_of(rows) if not writers else writers[0].schema.names
        for row in rows:
            check_columns(row, columns, "Parquet")
        whole = [{name: row.get(name) for name in columns} for row in rows]
        try:
            if not writers:
                table = pa.Table.from_pylist(whole)
                # A column that is empty in the first rows may hold text later.
                fields = [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
                writers.append(pq.ParquetWriter(path, pa.schema(fields), compression="zstd"))
            writers[0].write_table(pa.Table.from_pylist(whole, schema=writers[0].schema))
        except (pa.ArrowException, OverflowError) as error:
            raise DataError(
                f"a column of the input holds values of several kinds, or too large ones, which Parquet cannot "
                f"({error}): write a .jsonl file"
            ) from error

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()
    if not writers:
        pq.write_table(pa.table({}), path)
