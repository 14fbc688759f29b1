"""What users get wrong, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from limbeck.data import Columns, load_splits
from limbeck.errors import DataError

from .files import Write, jsonl, table


@dataclass(frozen=True)
class Bad:
    name: str
    content: str | bytes
    message: str
    columns: Columns = field(default_factory=Columns)
    task: str | None = None


def lines(*more: str) -> str:
    """Twenty good rows (on lines 1 to 20) as JSON lines, and then more."""
    rows: list[dict[str, object]] = [{"text": f"good {i}", "label": "ab"[i % 2]} for i in range(20)]
    return jsonl(rows) + "\n".join(more) + "\n"


def numbers(*more: str) -> str:
    return "\n".join(["text,label", *(f"good {i},{i}.5" for i in range(20)), *more]) + "\n"


ROWS = [
    Bad("a.csv", table(20, ",a"), "a.csv, line 22: the text in 'text' is empty"),
    Bad("a.csv", table(20, " \t ,a"), "a.csv, line 22: the text in 'text' is empty"),
    Bad("a.csv", table(20, "x,"), "a.csv, line 22: no label"),
    Bad("a.csv", table(20, "x"), "a.csv, line 22: expected 2 fields, got 1"),
    Bad("a.csv", table(20, "x,y,a"), "a.csv, line 22: expected 2 fields, got 3"),
    Bad("a.csv", table(20, '"x,a', "y,b"), "a.csv, line 22: the quote opened on line 22 is never closed"),
    Bad("a.csv", table(20, '"x"y,a'), "a.csv, line 22: a quoted field goes on after its closing quote"),
    Bad("a.csv", table().encode() + b"caf\xe9,a\n", "line 22: not valid UTF-8: byte 0xe9 at character 4"),
    Bad("a.csv", table(20, "x\0,a"), "a.csv, line 22: a NUL character at character 2"),
    Bad("a.tsv", table(20, "x,,a").replace(",", "\t"), "a.tsv, line 22: expected 2 fields, got 3"),
    Bad("a.jsonl", lines('{"text": '), "a.jsonl, line 21: not valid JSON: Expecting value"),
    Bad("a.jsonl", lines("[1]"), "a.jsonl, line 21: expected an object, as {…}, got a list"),
    Bad("a.jsonl", lines('"x"'), "a.jsonl, line 21: expected an object, as {…}, got a string"),
    Bad("a.jsonl", lines("[" * 100_000), "a.jsonl, line 21: not valid JSON"),
    Bad("a.jsonl", lines('{"label": "a"}'), "a.jsonl, line 21: no text in 'text'"),
    Bad("a.jsonl", lines('{"text": "x"}'), "a.jsonl, line 21: no label: the field 'label' is missing"),
    Bad("a.jsonl", lines('{"text": {"x": 1}, "label": "a"}'), "line 21: 'text' is a dict, expected a text"),
    Bad("a.jsonl", lines('{"text": "x\\u0000", "label": "a"}'), "line 21: the text in 'text': a NUL character"),
    Bad("a.jsonl", lines('{"text": "\\ud83d", "label": "a"}'), "line 21: not valid Unicode: half a surrogate pair"),
    Bad("a.jsonl", lines('{"text": "x", "label": {}}'), "line 21: the label is a dict, expected a string"),
    Bad("a.csv", numbers("x,many"), "a.csv, line 22: the label 'many' is not a finite number"),
    Bad("a.csv", numbers("x,nan"), "a.csv, line 22: the label 'nan' is not a finite number"),
    Bad("a.csv", numbers("x,1e999"), "a.csv, line 22: the label '1e999' is not a finite number"),
    Bad("a.csv", table(), "a.csv, line 2: the label 'a' is not a finite number", task="regress"),
    Bad("a.csv", table(), "a.csv, line 2: the label 'a' is not a list, which the task multilabel", task="multilabel"),
    Bad(
        "a.jsonl",
        jsonl([{"text": f"t {i}", "label": ["a"]} for i in range(20)]),
        "a.jsonl, line 1: the label is a list, ['a'], and the task classify expects one label a row",
        task="classify",
    ),
    Bad(
        "a.csv",
        "text,toxic,rude\nx,1,0\ny,2,0\n",
        "a.csv, line 3: the label column 'toxic' is '2', expected 0 or 1",
        Columns(label="toxic,rude"),
    ),
    Bad(
        "a.csv",
        "text,label\none|two,a\nx,b\n",
        "line 3: the pair separator '|' is missing",
        Columns(pair_separator="|"),
    ),
    Bad(
        "a.csv",
        "text,label\none|two|three,a\n",
        "line 2: the pair separator '|' occurs 2 times, expected once",
        Columns(pair_separator="|"),
    ),
    Bad("a.csv", "text,label\none| ,a\n", "line 2: the second text, by '|', is empty", Columns(pair_separator="|")),
    Bad("a.csv", "sentence1,sentence2,label\na,,x\n", "line 2: the text in 'sentence2' is empty"),
]
FILES = [
    Bad("a.csv", "", "a.csv is empty"),
    Bad("a.csv", "\n\n", "a.csv is empty"),
    Bad("a.tsv", "", "a.tsv is empty"),
    Bad("a.jsonl", "\n", "a.jsonl is empty"),
    Bad("a.json", " ", "a.json is empty"),
    Bad("a.csv", "text,label\n", "a.csv holds a header and no rows"),
    Bad("a.csv", "text,label,text\na,b,c\n", "a.csv: the header names 'text' more than once"),
    Bad("a.csv", b"caf\xe9,label\na,b\n", "a.csv, line 1: not valid UTF-8: byte 0xe9"),
    Bad("a.csv", '"text,label\na,b\n', "a.csv, line 1: the quote opened on line 1 is never closed"),
    Bad("a.csv", table().encode("utf-16"), "a.csv is UTF-16, expected UTF-8. Convert it"),
    Bad("a.parquet", "text,label\n", "a.parquet is not a parquet file"),
    Bad("a.csv.gz", "text,label\n", "a.csv.gz is not a whole gzip file"),
    Bad("a.xlsx", "PK", "expected one of .csv, .tsv, .jsonl, .ndjson, .json, .parquet"),
    Bad("a.json", '{"data": [1,\n2]}', "a.json holds one object, expected a list of objects"),
    Bad("a.json", '[{"text": "a",}]', "a.json is not valid JSON"),
    Bad("a.jsonl", "text,label\n", "a.jsonl, line 1: not valid JSON"),
    Bad("a.csv", "foo,label\na,b\n", "usual name for the text; it has 'foo', 'label'. Name the column with --text"),
    Bad("a.csv", "text,foo\na,b\n", "usual name for the label; it has 'text', 'foo'. Name the column with --label"),
    Bad("a.csv", table(9), "rows to train on, expected at least 10"),
    Bad("a.csv", table(30).replace(",b", ",a"), "all rows to train on have the same label, 'a'"),
    Bad("a.csv", "text,label\n" + "same,a\nsame,b\n" * 9, "the split test is empty"),
]


@pytest.mark.parametrize("bad", ROWS, ids=lambda bad: f"{bad.name}: {bad.message[:50]}")
def test_bad_rows(write: Write, bad: Bad) -> None:
    with pytest.raises(DataError) as caught:
        load_splits(write(bad.name, bad.content), bad.columns, task=bad.task)
    assert bad.message in str(caught.value)
    assert "cannot be used" in str(caught.value)
    assert "--skip-bad-rows" in str(caught.value)


@pytest.mark.parametrize("bad", FILES, ids=lambda bad: f"{bad.name}: {bad.message[:50]}")
def test_bad_files(write: Write, bad: Bad) -> None:
    with pytest.raises(DataError) as caught:
        load_splits(write(bad.name, bad.content), bad.columns, task=bad.task)
    assert bad.message in str(caught.value)
    assert "--skip-bad-rows" not in str(caught.value)


def test_the_rows_of_all_splits_are_in_one_message_in_order(write: Write, tmp_path: Path) -> None:
    write("train.csv", table(30, ",a", "x,"))
    write("test.csv", "text,label\nx,c\ny,a\n")
    write("dev.csv", "text,label\n,a\n")
    with pytest.raises(DataError) as caught:
        load_splits(tmp_path)
    assert str(caught.value).splitlines()[:5] == [
        "4 rows cannot be used:",
        "  train.csv, line 32: the text in 'text' is empty",
        "  train.csv, line 33: no label",
        "  dev.csv, line 2: the text in 'text' is empty",
        "  test.csv, line 2: the label 'c' is not among those of the training rows",
    ]


def test_a_missing_file_suggests_near_names(write: Write, tmp_path: Path) -> None:
    write("reviews.csv", table())
    with pytest.raises(DataError, match=r"review\.csv does not exist; did you mean .*reviews\.csv\?"):
        load_splits(tmp_path / "review.csv")
    with pytest.raises(DataError, match="nor does the folder"):
        load_splits(tmp_path / "nowhere" / "review.csv")
