"""Which files of left-out rows a run leaves: its own when it goes on, and those that were there when it does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import limbeck
from limbeck.errors import BaseModelError, DataError, LimbeckError, TooLong, UsageError
from limbeck.recipes.skipped import skipped_rows

if TYPE_CHECKING:
    from bundles import Distill

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def data(tmp_path: Path, reviews_csv: Path) -> Path:
    """The reviews and a row that has no text."""
    path = tmp_path / "data" / "in.csv"
    path.parent.mkdir()
    path.write_text(reviews_csv.read_text() + " ,positive\n")
    return path


@pytest.fixture
def train(tmp_path: Path, tiny_base: Path, data: Path) -> Any:
    def run(**arguments: Any) -> Any:
        settings = {"base": str(tiny_base), "epochs": 1, "precision": "fp32", "skip_bad_rows": True}
        return limbeck.train(str(data), out=tmp_path / "m", **{**settings, **arguments})

    return run


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "skipped" in path.name)


def test_files_appear_when_the_block_ends_well(tmp_path: Path) -> None:
    place = tmp_path / "m-skipped.jsonl"
    with skipped_rows(place) as beside:
        assert beside is not None
        beside.parent.mkdir()
        beside.write_text("one")
        beside.with_name("m-skipped-1.jsonl").write_text("two")
        assert not place.exists()
    assert (place.read_text(), (tmp_path / "m-skipped-1.jsonl").read_text()) == ("one", "two")
    assert len(list(tmp_path.iterdir())) == 2


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "m-skipped.jsonl"
    place.write_text("before")
    with pytest.raises(FileExistsError), skipped_rows(place) as beside:  # noqa: PT012
        assert beside is not None
        beside.parent.mkdir()
        beside.write_text("now")
        beside.parent.mkdir()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_without_a_place_nothing_is_left_out() -> None:
    with skipped_rows(None) as beside:
        assert beside is None


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"base": "./nowhere"}, BaseModelError),
        ({"task": "regress"}, DataError),
        ({"max_tokens": 65}, UsageError),
        ({"train_last": 9}, UsageError),
    ],
    ids=str,
)
def test_a_training_that_fails_at_the_start_leaves_none(
    train: Any, tmp_path: Path, arguments: dict[str, Any], error: type[LimbeckError]
) -> None:
    with pytest.raises(error):
        train(**arguments)
    assert left(tmp_path) == []


def test_a_refused_training_leaves_that_of_the_bundle_there(train: Any, tmp_path: Path, data: Path) -> None:
    train()
    skipped = tmp_path / "m-skipped.jsonl"
    of_bundle = skipped.read_text()
    assert '"file": "in.csv", "row": 202' in of_bundle

    data.write_text(data.read_text() + " ,negative\na good one,positive\n")
    with pytest.raises(UsageError, match="m exists and was made with other rows"):
        train()
    assert skipped.read_text() == of_bundle

    train(overwrite=True)
    assert len(skipped.read_text().splitlines()) == 2
    assert left(tmp_path) == ["m-skipped.jsonl"]


def test_a_stopped_training_has_written_it(train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("limbeck.recipes.train.fine_tune", stop)
    with pytest.raises(KeyboardInterrupt):
        train()
    assert left(tmp_path) == ["m-skipped.jsonl"]


def test_a_refused_distillation_leaves_that_of_the_bundle_there(
    distill: Distill, classify_bundle: Path, data: Path, tmp_path: Path
) -> None:
    skipped = tmp_path / "student-skipped.jsonl"
    skipped.write_text("before")
    (tmp_path / "student").write_text("the notes of last year")
    with pytest.raises(UsageError, match="student exists and is no bundle"):
        distill(classify_bundle, data, student="L1", skip_bad_rows=True)
    assert skipped.read_text() == "before"
    assert left(tmp_path) == ["student-skipped.jsonl"]


def test_a_prediction_that_fails_leaves_none(classify_bundle: Path, data: Path) -> None:
    data.write_text("text\nfine\n \n" + "a good film " * 40 + "\n")
    with pytest.raises(TooLong):
        limbeck.predict(classify_bundle, input=data, skip_bad_rows=True, on_long="error")
    assert left(data.parent) == []


def test_a_verification_without_any_good_row_leaves_none(
    classify_bundle: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data.write_text("text,label\nfine,neither\n")
    with pytest.raises(DataError, match="holds no row that can be used"):
        limbeck.verify(classify_bundle, data=str(data), skip_bad_rows=True, threads=1)
    assert left(tmp_path) == []


def test_a_failed_augmentation_and_pretraining_leave_none(data: Path, tmp_path: Path, tiny_base: Path) -> None:
    with pytest.raises(UsageError, match="--sides first is for pairs"):
        limbeck.augment(str(data), out=tmp_path / "more", sides="first", skip_bad_rows=True)
    with pytest.raises(BaseModelError):
        limbeck.pretrain(str(data), out=tmp_path / "encoder", base="./nowhere", skip_bad_rows=True)
    assert left(tmp_path) == []
