from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.data.problems import BadRows, character_problem
from limbeck.data.records import Record, Table
from limbeck.errors import DataError

TABLE = Table("a.csv", "line", ("text",), lambda: iter(()))


def fill(skipped: Path | None, count: int, error: Exception | None = None) -> None:
    with BadRows(skipped) as bad:
        for row in range(2, count + 2):
            bad.add(TABLE, Record(row, {"text": b"bytes"}), "wrong")
        if error:
            raise error


def test_twenty_rows_are_shown_and_the_rest_counted() -> None:
    with pytest.raises(DataError) as caught:
        fill(None, 1234)
    lines = str(caught.value).splitlines()
    assert lines[0] == "1,234 rows cannot be used:"
    assert lines[20] == "  a.csv, line 21: wrong"
    assert lines[21] == "  … and 1,214 more (1,234 in all)"
    assert "--skip-bad-rows" in lines[22]


def test_where_too_few_are_left_the_first_bad_rows_say_why(tmp_path: Path) -> None:
    with BadRows(tmp_path / "skipped.jsonl") as bad:
        assert str(bad.too_few("0 rows")) == "0 rows"
        bad.add(TABLE, Record(2, {}), "wrong")
        assert str(bad.too_few("0 rows")) == "0 rows. 1 row was left out, as bad:\n  a.csv, line 2: wrong"
        for row in range(3, 1003):
            bad.add(TABLE, Record(row, {}), "wrong")
    lines = str(bad.too_few("0 rows")).splitlines()
    assert lines[0] == "0 rows. 1,001 rows were left out, as bad:"
    assert lines[5:] == ["  a.csv, line 6: wrong", "  … and 996 more (1,001 in all)"]


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        fill(tmp_path / "skipped.jsonl", 3, KeyError("another error"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"fine \xc3\xa9", None),
        (b"a\xe9b", "not valid UTF-8: byte 0xe9 at character 2"),
        (b"ab\0", "a NUL character at character 3"),
    ],
)
def test_character_problem(raw: bytes, problem: str | None) -> None:
    assert character_problem(raw.decode("utf-8", "surrogateescape")) == problem
