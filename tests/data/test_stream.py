from __future__ import annotations

import json
from pathlib import Path

import pytest

from limbeck.data import Columns, check_input, stream_input
from limbeck.data.stream import Checked
from limbeck.errors import DataError

from .files import Write, jsonl

BAD = "id,text\n1,a\n2,\n3,c\n4,d,e\n"


def test_all_columns_pass_through(write: Write) -> None:
    source = write("a.jsonl", jsonl([{"text": "a", "pair": "b", "id": 7, "tags": ["x"]}]))
    (row,) = stream_input(source)
    assert (row.row, row.text, row.pair) == (1, "a", "b")
    assert row.fields == {"text": "a", "pair": "b", "id": 7, "tags": ["x"]}


def test_numbers_are_read_as_their_text(write: Write) -> None:
    source = write("a.jsonl", jsonl([{"text": 5}, {"text": 2.5}]))
    assert [row.text for row in stream_input(source)] == ["5", "2.5"]


def test_all_bad_rows_are_said_at_once(write: Write) -> None:
    with pytest.raises(DataError) as caught:
        check_input(write("a.csv", BAD))
    assert str(caught.value).splitlines() == [
        "2 rows cannot be used:",
        "  a.csv, line 3: the text in 'text' is empty",
        "  a.csv, line 5: expected 2 fields, got 3",
        "Mend what is said above, or pass `--skip-bad-rows` to go on without such rows.",
    ]


def test_what_is_checked_is_what_is_streamed(write: Write, tmp_path: Path) -> None:
    source, skipped = write("a.csv", BAD), tmp_path / "skipped.jsonl"
    assert check_input(source, skipped=skipped) == Checked(rows=2, skipped=2)
    assert [json.loads(line)["row"] for line in skipped.read_text().splitlines()] == [3, 5]
    bad: list[str] = []
    assert [row.row for row in stream_input(source, skip_bad_rows=True, on_bad=bad.append)] == [2, 4]
    assert bad == ["a.csv, line 3: the text in 'text' is empty", "a.csv, line 5: expected 2 fields, got 3"]
    with pytest.raises(DataError, match=r"a\.csv, line 3"):
        list(stream_input(source))


def test_a_wrong_column_is_said_before_the_first_row(write: Write) -> None:
    source = write("a.csv", BAD)
    with pytest.raises(DataError, match="no column 'review'"):
        stream_input(source, Columns(text="review"))


def test_no_good_row_at_all(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row that can be used"):
        check_input(write("a.csv", "text,x\n ,1\n"), skipped=tmp_path / "skipped.jsonl")


def test_nothing_is_written_where_reading_fails(write: Write, tmp_path: Path) -> None:
    source = write("a.json", "[]")
    with pytest.raises(DataError, match="is empty"):
        check_input(source, skipped=tmp_path / "skipped.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
