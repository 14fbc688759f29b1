from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import Columns, Splits, load_labelled, load_splits
from limbeck.errors import DataError, UsageError

from .files import Write, jsonl, table


def sizes(splits: Splits) -> tuple[int, int, int]:
    return len(splits.train), len(splits.dev), len(splits.test)


def test_a_file_is_split_in_three(write: Write) -> None:
    splits = load_splits(write("a.csv", table(200)))
    assert sizes(splits) == (160, 20, 20)
    assert (splits.task, splits.labels) == ("classify", ("a", "b"))
    rows = [row for part in (splits.train, splits.dev, splits.test) for row in part.rows]
    assert sorted(rows) == list(range(2, 202))
    assert splits.test.labels.count("a") == 10


def test_large_files_hold_out_no_more_than_needed(write: Write) -> None:
    assert sizes(load_splits(write("a.csv", table(110_000)))) == (98_000, 2_000, 10_000)


def test_given_splits_are_kept_and_others_ignored(write: Write, tmp_path: Path) -> None:
    write("train.csv", table(50))
    write("valid.tsv", "text\tlabel\nv\ta\n")
    write("test.jsonl", jsonl([{"text": "t", "label": "b"}, {"text": "u", "label": "a"}]))
    write("test_other.csv", table())
    write("README.md", "about")
    splits = load_splits(tmp_path)
    assert sizes(splits) == (50, 1, 2)
    assert (splits.dev.texts, splits.test.texts) == (["v"], ["t", "u"])
    assert "Ignored files: test_other.csv." in splits.notes


def test_a_missing_dev_is_carved_from_train(write: Write, tmp_path: Path) -> None:
    write("data/train-00000-of-00002.csv", table(50))
    write("data/train-00001-of-00002.csv", table(50).replace("good", "fine"))
    write("data/test-00000-of-00001.csv", "text,label\nt,b\n")
    assert sizes(load_splits(tmp_path)) == (90, 10, 1)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train.csv", "train.tsv"], "several files for the split train: train.csv, train.tsv. Leave one"),
        (["train.csv", "val.csv", "dev.csv"], "several files for the split dev: dev.csv, val.csv"),
        (["train.csv", "train-00000-of-00002.csv"], "several files for the split train"),
        (["train-00000-of-00002.csv"], "1 of 2 pieces"),
        (["test.csv"], "no train split, only test.csv"),
        (["reviews.csv"], "It holds reviews.csv: name the file itself"),
        (["notes.md"], "holds neither files named train"),
    ],
)
def test_folders_that_cannot_be_read(write: Write, tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        write(name, table())
    with pytest.raises(DataError) as caught:
        load_splits(tmp_path)
    assert message in str(caught.value)


def test_pairs(write: Write) -> None:
    rows = [f"one {i}\ttwo {i}\t{i / 7}" for i in range(30)]
    splits = load_splits(write("a.tsv", "\n".join(["sentence1\tsentence2\tscore", *rows])))
    assert splits.task == "regress"
    assert splits.labels == ()
    assert splits.train.pairs is not None
    assert splits.train.select([0]).pairs == [splits.train.texts[0].replace("one", "two")]


def test_a_pair_in_one_column(write: Write) -> None:
    content = table(20).replace("good text", "one ||| two")
    splits = load_splits(write("a.csv", content), Columns(pair_separator="|||"))
    assert set(splits.train.texts) == {"one"}
    assert splits.train.pairs is not None
    assert splits.train.pairs[0].startswith("two ")


def test_multilabel_in_its_three_spellings(write: Write) -> None:
    wanted = [("joy",), ("anger", "joy"), ()] * 10
    lists = write("a.jsonl", jsonl([{"text": f"t {i}", "labels": list(x)} for i, x in enumerate(wanted)]))
    cells = write("b.csv", "text,label\n" + "".join(f"t {i},{'|'.join(x)}\n" for i, x in enumerate(wanted)))
    flags = write(
        "c.csv",
        "text,anger,joy\n" + "".join(f"t {i},{int('anger' in x)},{int('joy' in x)}\n" for i, x in enumerate(wanted)),
    )
    splits = [
        load_splits(lists),
        load_splits(cells, Columns(label_separator="|")),
        load_splits(flags, Columns(label="anger,joy")),
    ]
    assert {one.task for one in splits} == {"multilabel"}
    assert {one.labels for one in splits} == {("anger", "joy")}
    assert len({one.sha256 for one in splits}) == 1


def test_the_hash_is_that_of_the_content(write: Write) -> None:
    one = load_splits(write("a.csv", table(30)))
    rows: list[dict[str, object]] = [{"text": f"good text {i}", "label": "ab"[i % 2]} for i in range(30)]
    assert load_splits(write("b.jsonl", jsonl(rows))).sha256 == one.sha256
    assert load_splits(write("c.csv", table(30).replace("text 7", "text seven"))).sha256 != one.sha256


def test_overlaps_and_contradictions_are_noted_and_nothing_is_moved(write: Write, tmp_path: Path) -> None:
    write("train.csv", table(40, "Good  text 3,a"))
    write("dev.csv", "text,label\nnew,a\n")
    write("test.csv", "text,label\nGOOD TEXT 1,b\nother,a\n")
    splits = load_splits(tmp_path)
    assert sizes(splits) == (41, 1, 2)
    assert "1 of 2 test rows has a text that is in train too." in splits.notes
    assert "2 rows of 44 repeat the text of another." in splits.notes
    assert "1 text with contradictory labels: the same text, another label." in splits.notes


def test_too_few_rows_beside_those_left_out_say_what_was_wrong_with_these(write: Write, tmp_path: Path) -> None:
    source = write("a.csv", table(30))
    with pytest.raises(DataError) as caught:
        load_splits(source, task="regress", skipped=tmp_path / "skipped.jsonl")
    said = str(caught.value)
    assert said.startswith("0 rows to train on, expected at least 10. 30 rows were left out, as bad:\n")
    assert "\n  a.csv, line 2: the label 'a' is not a finite number, which the task regress expects\n" in said


def test_skipped_rows_are_written_and_counted(write: Write, tmp_path: Path) -> None:
    source = write("a.csv", table(30, " ,a", "x,a,b", "y,"))
    skipped = tmp_path / "out" / "skipped.jsonl"
    splits = load_splits(source, skipped=skipped)
    assert sum(sizes(splits)) == 30
    lines = [json.loads(line) for line in skipped.read_text().splitlines()]
    assert [(line["file"], line["row"]) for line in lines] == [("a.csv", 32), ("a.csv", 33), ("a.csv", 34)]
    assert lines[1]["problem"] == "expected 2 fields, got 3"
    assert lines[1]["fields"] == {"text": "x", "label": "a", "(more)": ["b"]}
    assert "Left out 3 bad rows, written to skipped.jsonl." in splits.notes
    assert [path.name for path in skipped.parent.iterdir()] == ["skipped.jsonl"]


def test_new_rows_for_a_model(write: Write) -> None:
    source = write("a.csv", table(4, "new,c"))
    with pytest.raises(DataError, match=r"a\.csv, line 6: the label 'c' is not among those of the model"):
        load_labelled(source, task="classify", labels=("a", "b"))
    assert len(load_labelled(source, task="classify", labels=("a", "b", "c"))) == 5


def test_a_folder_proves_with_its_test_split(write: Write, tmp_path: Path) -> None:
    write("test.csv", table(4))
    assert len(load_labelled(tmp_path, task="classify", labels=("a", "b"))) == 4
    write("train.csv", table(9))
    assert len(load_labelled(tmp_path, task="classify", labels=("a", "b"))) == 4


def test_tasks_of_other_data_are_refused(write: Write) -> None:
    with pytest.raises(UsageError, match="'answers' does not read labelled texts"):
        load_splits(write("a.csv", table()), task="answers")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 80), st.sampled_from("ab")), min_size=40, max_size=150))
def test_every_row_is_in_one_split_and_no_text_in_two(drawn: list[tuple[int, str]]) -> None:
    # Enough texts that are there once for any draw to be a usable file.
    rows = [*drawn, *((100 + i, "ab"[i % 2]) for i in range(20))]
    spelled = [f"{'Text' if i % 2 else ' text'} {number},{label}" for i, (number, label) in enumerate(rows)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text("\n".join(["text,label", *spelled]))
        splits = load_splits(path)
        again = load_splits(path)
    parts = (splits.train, splits.dev, splits.test)
    assert sorted(row for part in parts for row in part.rows) == list(range(2, len(rows) + 2))
    texts = [{" ".join(text.casefold().split()) for text in part.texts} for part in parts]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]
    assert again == splits


def test_pairs_that_share_a_text_with_the_training_rows_are_counted(write: Write) -> None:
    rows = "".join(f"premise {n // 3},hypothesis {n},{'ab'[n % 2]}\n" for n in range(300))
    notes = load_splits(write("nli.csv", f"text,text_pair,label\n{rows}")).notes
    assert any(note.endswith(" of 30 test rows have one of their texts in train too.") for note in notes)
    apart = "".join(f"premise {n},hypothesis {n},{'ab'[n % 2]}\n" for n in range(300))
    notes = load_splits(write("apart.csv", f"text,text_pair,label\n{apart}")).notes
    assert not any("one of their texts" in note for note in notes)
