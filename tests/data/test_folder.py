from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.data import check_input, load_splits, stream_input
from limbeck.data.folder import open_texts
from limbeck.errors import DataError

from .files import Write


@pytest.fixture
def archive(write: Write, tmp_path: Path) -> Path:
    for label in ("pos", "neg"):
        for number in range(12):
            write(f"train/{label}/{number}.txt", f"{label} train text {number}")
            write(f"test/{label}/{number}.txt", f"{label} test text {number}")
    write("train/unsup/0.txt", "no label")
    return tmp_path


def test_the_folder_is_the_label_and_unlabelled_texts_are_ignored(archive: Path) -> None:
    splits = load_splits(archive)
    assert splits.labels == ("neg", "pos")
    assert (len(splits.train), len(splits.dev), len(splits.test)) == (22, 2, 24)
    assert "Ignored folders: train/unsup." in splits.notes
    assert all(str(label) in text for text, label in zip(splits.test.texts, splits.test.labels, strict=True))


def test_label_folders_without_splits(archive: Path) -> None:
    splits = load_splits(archive / "train")
    assert (len(splits.train), len(splits.dev), len(splits.test)) == (20, 2, 2)
    assert "Ignored folders: unsup." in splits.notes


def test_a_bad_text_is_named_by_its_file(archive: Path) -> None:
    (archive / "train" / "pos" / "3.txt").write_bytes(b"bad \xff")
    (archive / "test" / "neg" / "0.txt").write_text(" \n")
    with pytest.raises(DataError) as caught:
        load_splits(archive)
    assert "train/pos/3.txt, row 18: not valid UTF-8: byte 0xff" in str(caught.value)
    assert "test/neg/0.txt, row 1: the text in 'text' is empty" in str(caught.value)


def test_any_texts_can_be_predicted(archive: Path) -> None:
    assert check_input(archive).rows == 49
    rows = list(stream_input(archive))
    assert [row.row for row in rows] == list(range(1, 50))
    assert rows[0].fields["file"] == "test/neg/0.txt"


def test_a_folder_without_texts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.txt files"):
        open_texts(tmp_path)
