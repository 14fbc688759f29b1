from __future__ import annotations

import sys

import pytest

from limbeck.data import Columns, load_labelled, load_splits
from limbeck.errors import DataError, MissingExtra

datasets = pytest.importorskip("datasets")


def fake(monkeypatch: pytest.MonkeyPatch, splits: dict[str, object]) -> list[tuple[str, str | None]]:
    asked: list[tuple[str, str | None]] = []

    def load(name: str, config: str | None) -> dict[str, object]:
        asked.append((name, config))
        return splits

    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


def rows(labels: list[int], names: list[str]) -> object:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    texts = [f"text {len(labels)} {i}" for i in range(len(labels))]
    return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)


def test_classes_carry_their_names_and_splits_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {
        "train": rows([0, 1] * 10, ["neg", "pos"]),
        "validation": rows([1, 0], ["neg", "pos"]),
        "test": rows([-1, -1, -1], ["neg", "pos"]),
        "unsupervised": rows([-1], ["neg", "pos"]),
    }
    asked = fake(monkeypatch, splits)
    loaded = load_splits("user/name:small")
    assert asked == [("user/name", "small")]
    assert loaded.labels == ("neg", "pos")
    assert loaded.dev.labels == ["pos", "neg"]
    assert (len(loaded.train), len(loaded.test)) == (18, 2)
    assert "Ignored splits: unsupervised." in loaded.notes
    assert "Ignored the split test: none of its rows has a label." in loaded.notes


def test_lists_of_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    feature = datasets.Sequence(datasets.ClassLabel(names=["joy", "anger"]))
    features = datasets.Features({"text": datasets.Value("string"), "labels": feature})
    data = {"text": [f"text {i}" for i in range(20)], "labels": [[0], [0, 1]] * 10}
    fake(monkeypatch, {"train": datasets.Dataset.from_dict(data, features=features)})
    loaded = load_splits("name")
    assert (loaded.task, loaded.labels) == ("multilabel", ("anger", "joy"))


def test_a_model_is_proved_on_the_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"train": rows([0, 1] * 10, ["a", "b"]), "test": rows([1, 1, 0], ["a", "b"])})
    assert load_labelled("name", Columns(), task="classify", labels=("a", "b")).labels == ["b", "b", "a"]


def test_what_the_hub_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, config: str | None) -> None:
        raise FileNotFoundError(f"Dataset '{name}' doesn't exist")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(DataError, match="'no-such-set' cannot be loaded from the hub: Dataset 'no-such-set'"):
        load_splits("no-such-set")


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"limbeck\[hub\]"):
        load_splits("imdb")
