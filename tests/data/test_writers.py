from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from limbeck.data.csv import open_csv
from limbeck.data.writers import open_writer
from limbeck.errors import DataError
from limbeck.tasks.records import example_record


def write_chunks(path: Path, *chunks: list[dict[str, Any]]) -> Path:
    with open_writer(path, "parquet" if path.suffix == ".parquet" else "csv") as write:
        for chunk in chunks:
            write(chunk)
    return path


def test_csv_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [{"text": text, "label": "x"} for text in ("plain", "a\rb", "a\nb", "a\r\nb", "\r", 'a "b", c')]
    path = write_chunks(tmp_path / "out.csv", rows)
    assert [record.fields for record in open_csv(path).records()] == rows
    assert path.read_bytes().startswith(b'text,label\nplain,x\n"a\rb",x\n')


def test_dates_in_lists_and_mappings_are_written_to_csv(tmp_path: Path) -> None:
    day = datetime.date(2024, 2, 29)
    path = write_chunks(tmp_path / "out.csv", [{"days": [day], "stay": {"from": day}}])
    (record,) = open_csv(path).records()
    assert record.fields == {"days": '["2024-02-29"]', "stay": '{"from": "2024-02-29"}'}


def test_an_integer_too_large_for_parquet_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"too (big|large).*write a \.jsonl file"):
        write_chunks(tmp_path / "out.parquet", [{"n": 2**70}])


def test_a_key_that_the_first_rows_have_not_is_said(tmp_path: Path) -> None:
    first, later = [{"user": [{"id": 1}]}], [{"user": [{"id": 2, "name": "b"}]}]
    with pytest.raises(DataError, match=r"a later row has .*name.*write a \.jsonl file"):
        write_chunks(tmp_path / "out.parquet", first, later)


def test_lists_that_are_empty_in_the_first_rows_may_hold_text_later(tmp_path: Path) -> None:
    first, later = [{"labels": [], "more": {"tags": []}}], [{"labels": ["a"], "more": {"tags": ["b"]}}]
    path = write_chunks(tmp_path / "out.parquet", first, later)
    assert pq.read_table(path).to_pylist() == first + later


def test_an_example_says_what_lists_may_hold_that_are_empty_in_the_first_rows(tmp_path: Path) -> None:
    chunks = [{"id": 1, "prediction": []}], [{"id": 2, "prediction": example_record("tag")["prediction"]}]
    with open_writer(tmp_path / "out.parquet", "parquet", example_record("tag")) as write:
        for chunk in chunks:
            write(chunk)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [row for chunk in chunks for row in chunk]


def test_a_later_kind_is_said_to_differ_from_the_first_rows(tmp_path: Path) -> None:
    first, later = [{"entities": []}], [{"entities": [{"start": 0, "end": 1}]}]
    with pytest.raises(DataError, match="the first rows decide"):
        write_chunks(tmp_path / "out.parquet", first, later)
