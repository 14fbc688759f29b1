"""A student beside those that no teacher taught, where these are hard to make."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import limbeck
from conftest import BAD, GOOD
from limbeck.bundle import Bundle
from limbeck.data import Columns, load_splits
from limbeck.errors import UsageError
from limbeck.recipes.distilling.baseline import word_baseline
from limbeck.report.worth import ALONE, BASELINE, STUDENT, TEACHER, standings_of
from limbeck.tasks import Classify, make_task
from limbeck.text import Tokenizer
from limbeck.training.prepare import Prepared, prepare

if TYPE_CHECKING:
    from bundles import Distill

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed", "one_thread")


@pytest.fixture
def few_words(tmp_path: Path) -> Path:
    """64 reviews in four words, a small part of the vocabulary."""
    path = tmp_path / "few.csv"
    rows = []
    for number in range(64):
        words = ["film" if number >> bit & 1 else "story" for bit in range(6)]
        rows.append(f"{' '.join(words)} {(GOOD, BAD)[number % 2][0]},{('positive', 'negative')[number % 2]}")
    path.write_text("\n".join(["text,label", *rows]) + "\n", "utf-8")
    return path


def standing(bundle: Bundle, name: str) -> Any:
    return next(s for s in standings_of(bundle.manifest) if s.name == name)


@pytest.mark.parametrize(
    ("first", "apart"),
    [
        ({"student": "2x16"}, "16 wide, not 32, 32 feed-forward units, not 64"),
        ({"student": "L2", "trim_vocabulary": True}, r"\d+ tokens, not \d+"),
        ({"student": "pruned-2x"}, r"2 heads, not 4, \d+ feed-forward units, not 64"),
    ],
)
def test_the_student_of_a_student_is_set_beside_one_as_large(
    first: dict[str, Any],
    apart: str,
    classify_bundle: Path,
    reviews_csv: Path,
    few_words: Path,
    distill: Distill,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = few_words if "trim_vocabulary" in first else reviews_csv
    middle = distill(classify_bundle, data, "middle", **first)
    shape = "pruned-1.5x" if "pruned" in first["student"] else "L1"
    bundle = distill(middle.folder, data, student=shape, compare=True)
    said = capsys.readouterr().err
    wanted = (
        rf"cannot be made of the base \(the teacher has other sizes: {apart}\): it starts from the fine-tuned teacher"
    )
    assert re.search(wanted, said)
    assert (
        standing(bundle, ALONE).parameters == standing(bundle, STUDENT).parameters == bundle.manifest.model.parameters
    )


def test_plain_text_is_not_learnt_from_a_base_of_other_sizes(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, tmp_path: Path
) -> None:
    middle = distill(classify_bundle, reviews_csv, "middle", student="2x16")
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"{GOOD[n % 4]} was the film {n}" for n in range(80)), "utf-8")
    with pytest.raises(
        UsageError, match=r"--general: learns from .*, and the teacher has other sizes: 16 wide, not 32"
    ):
        distill(middle.folder, reviews_csv, student="L1", general=str(text))


def test_marks_that_are_large_numbers(regress_csv: Path, tiny_base: Path, tmp_path: Path, distill: Distill) -> None:
    """The student of a narrower teacher is begun as that, whose head answers in the unit of the labels."""
    rows = [line.rpartition(",") for line in regress_csv.read_text("utf-8").splitlines()]
    data = tmp_path / "large.csv"
    lines = [f"{text},{float(mark) * 1000:.0f}" for text, _, mark in rows[1:]]
    data.write_text("\n".join(["text,score", *lines]) + "\n", "utf-8")
    settings: dict[str, Any] = {"epochs": 8, "learning_rate": 3e-3, "precision": "fp32", "batch": 16}
    teacher = limbeck.train(str(data), out=tmp_path / "teacher", base=str(tiny_base), **settings)
    middle = distill(teacher.folder, data, "middle", student="2x24", epochs=8)
    bundle = distill(middle.folder, data, student="L1", compare=True, epochs=1, learning_rate=1e-9)
    assert standing(bundle, ALONE).score == pytest.approx(standing(bundle, STUDENT).score, abs=1e-3)
    assert bundle.manifest.scores["test"]["mae"] < 3000


def test_a_comparison_that_was_not_wanted_after_all_costs_no_training(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("limbeck.recipes.distilling.worth.fine_tune", stopped)
        with pytest.raises(KeyboardInterrupt):
            distill(classify_bundle, reviews_csv, student="L1", compare=True, checkpoint_seconds=0.0)
    monkeypatch.setattr("limbeck.training.step.Stepper.step", stopped)
    bundle = distill(classify_bundle, reviews_csv, student="L1")
    assert [s.name for s in standings_of(bundle.manifest)] == [TEACHER, STUDENT]


def prepared_from(data: Path, tokenizer: Path) -> Prepared:
    splits = load_splits(str(data), Columns())
    return prepare(splits, Tokenizer(tokenizer), make_task(splits.task, splits.labels), max_tokens=32, limit=64)


def test_a_character_is_a_word_where_none_are_told_apart(classify_bundle: Path, tmp_path: Path) -> None:
    data = tmp_path / "reviews.csv"
    rows = [f"这部{'好坏'[n % 2]}电影{'一二三四五六七八九十'[n // 2 % 10]}{n},{'pn'[n % 2]}" for n in range(200)]
    data.write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    found = word_baseline(prepared_from(data, classify_bundle / "tokenizer.json"), Classify(("n", "p")))
    assert found is not None
    assert found.name == BASELINE
    assert float(np.mean(found.evidence)) == 1.0


def test_words_from_which_nothing_is_learnt(
    classify_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "numbers.csv"
    data.write_text("text,label\n" + "".join(f"{BAD[0]}{n}x{n},{'pn'[n % 2]}\n" for n in range(60)), "utf-8")
    assert word_baseline(prepared_from(data, classify_bundle / "tokenizer.json"), Classify(("n", "p"))) is None
    assert "left out, there is nothing for it to learn" in capsys.readouterr().err
