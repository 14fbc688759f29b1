from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from limbeck.data.parquet import BATCH_ROWS, open_parquet
from limbeck.errors import DataError

from .files import Write


def not_utf8(*values: bytes | None) -> pa.Array:
    return pa.array(values, pa.binary()).cast(pa.string(), safe=False)


def test_rows_are_counted_across_batches(tmp_path: Path) -> None:
    count = BATCH_ROWS * 2 + 1
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": [f"t{i}" for i in range(count)], "labels": [["x"]] * count}), path)
    records = list(open_parquet(path).records())
    assert [record.row for record in records] == list(range(1, count + 1))
    assert records[-1].fields == {"text": f"t{count - 1}", "labels": ["x"]}


def test_strings_that_are_not_utf8_are_found(tmp_path: Path) -> None:
    text = not_utf8(b"good", b"bad \xff", None)
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": text, "tag": pa.array([["x"], ["y"], ["z"]])}), path)
    records = list(open_parquet(path).records())
    assert [record.problem for record in records] == [None, "not valid UTF-8: byte 0xff at character 5", None]
    assert [record.fields["tag"] for record in records] == [["x"], ["y"], ["z"]]


def test_strings_that_are_not_utf8_are_found_in_dictionaries_and_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    dictionary = pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int32()), not_utf8(b"good", b"bad \xff"))
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2, 2], pa.int32()), not_utf8(b"good", b"bad \xff"))
    parquet.write_table(pa.table({"text": dictionary, "tags": lists}), path)
    records = list(open_parquet(path).records())
    assert [record.fields["text"] for record in records] == ["bad \udcff", "good", None]
    assert records[0].problem == "not valid UTF-8: byte 0xff at character 5"
    assert str(records[1].problem).startswith("a value that cannot be read: 'utf-8' codec can't decode byte 0xff")
    assert records[2].problem is None


def test_times_that_python_cannot_hold_are_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    days = pa.array([10_000_000, 0, None], pa.date32())
    instants = pa.array([10**18 + 1, None, None], pa.timestamp("ns"))
    lists = pa.array([[10_000_000], [0], None], pa.list_(pa.date32()))
    parquet.write_table(pa.table({"day": days, "instant": instants, "days": lists}), path)
    records = list(open_parquet(path).records())
    assert [record.fields["day"] for record in records] == ["29349-01-26", "1970-01-01", None]
    assert str(records[0].fields["instant"]) == "2001-09-09 01:46:40.000000001"
    problems = [record.problem for record in records]
    assert problems == ["a value that cannot be read: date value out of range", None, None]


def test_what_is_not_parquet_is_said(write: Write) -> None:
    with pytest.raises(DataError, match=r"a\.parquet is not a parquet file"):
        open_parquet(write("a.parquet", "text,label\na,b\n"))
    with pytest.raises(DataError, match="is empty"):
        open_parquet(write("b.parquet", ""))


def test_damage_in_the_middle_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": [f"text {i * 7919}" for i in range(500)]}), path, compression="zstd")
    raw = bytearray(path.read_bytes())
    raw[40:400] = b"\xff" * 360
    path.write_bytes(raw)
    with pytest.raises(DataError, match="damaged"):
        list(open_parquet(path).records())


def test_a_table_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    with pytest.raises(DataError, match="no rows"):
        open_parquet(path)
