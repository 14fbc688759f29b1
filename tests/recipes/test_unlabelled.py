"""`limbeck distill --unlabelled`, and on what `limbeck augment` wrote."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limbeck
from conftest import BAD, GOOD, QUESTION, review
from limbeck.bundle import Bundle, read_bundle
from limbeck.data import load_splits
from limbeck.errors import DataError, UsageError
from limbeck.recipes.held_out import training_splits

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed", "one_thread")

MORE = 50
FAST: dict[str, Any] = {
    **{"student": "L1", "epochs": 1, "learning_rate": 3e-3, "precision": "fp32", "compare": False, "batch": 8},
    "objective": "soft=1,hidden=1,hard=1",
}
Distill = Callable[..., Bundle]
Kind = dict[str, Any]
KINDS: dict[str, Kind] = {
    "classify": {"data": "reviews_csv"},
    "multilabel": {"data": "multilabel_csv", "label": "labels", "label_separator": "|"},
    "regress": {"data": "regress_csv"},
    "pair": {"data": "pair_csv"},
    "tag": {"data": "tag_jsonl"},
    "answer": {"data": "squad_json"},
    "embed": {"data": "pair_csv", "task": "embed", "label": ""},
    "scored": {"data": "scored_csv", "task": "embed"},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty; and training on one thread."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("limbeck.training.processes.usable_cpus", lambda: 1)
    return tmp_path / "cache" / "limbeck" / "kept"


@pytest.fixture
def distill(tmp_path: Path) -> Distill:
    def run(teacher: Path, data: Path, *unlabelled: Path, out: str = "student", **arguments: Any) -> Bundle:
        named = [str(path) for path in unlabelled]
        return limbeck.distill(teacher, str(data), out=tmp_path / out, unlabelled=named, **{**FAST, **arguments})

    return run


@pytest.fixture
def scored_csv(pair_csv: Path, tmp_path: Path) -> Path:
    """Pairs of reviews with 3 where both are alike, and 1 elsewhere."""
    path = tmp_path / "scored.csv"
    path.write_text(pair_csv.read_text("utf-8").replace("same", "3").replace("different", "1"), "utf-8")
    return path


def written(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def without_labels(folder: Path, kind: str) -> Path:
    """MORE rows of a kind, in another format than those with labels."""
    choose = random.Random(20)
    texts = [review(choose, (BAD, GOOD)[n % 2]) for n in range(MORE)]
    if kind in ("pair", "embed", "scored"):
        pairs = [(text[:80], other[:80]) for text, other in zip(texts, reversed(texts), strict=True)]
        return written(folder / "more.csv", ("sentence1", "sentence2"), pairs)
    fields: dict[str, Callable[[str], dict[str, object]]] = {
        "tag": lambda text: {"tokens": text.split()},
        "answer": lambda text: {"question": QUESTION, "context": text},
    }
    row = fields.get(kind, lambda text: {"text": text})
    path = folder / "more.jsonl"
    path.write_text("\n".join(json.dumps(row(text)) for text in texts), "utf-8")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_labels_are_learnt_in_every_task(
    kind: str, tiny_base: Path, distill: Distill, cache: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    said = dict(KINDS[kind])
    data: Path = request.getfixturevalue(said.pop("data"))
    settings = {"base": str(tiny_base), "epochs": 1, "precision": "fp32"}
    teacher = limbeck.train(str(data), out=tmp_path / "teacher", **settings, **said)
    bundle = distill(teacher.folder, data, without_labels(tmp_path, kind))
    ours, theirs = bundle.manifest, teacher.manifest
    assert ours.training["distillation"]["unlabelled_rows"] == MORE
    # All that is said of labels is said of the labelled rows.
    assert (ours.source.rows, ours.source.sha256) == (theirs.source.rows, theirs.source.sha256)
    assert ours.training["label_counts"] == theirs.training["label_counts"]
    known = theirs.source.rows["train"]
    (kept,) = cache.glob("answers-*")
    answers = np.load(kept).astype(np.float32)
    texts = (known + MORE) * (2 if "embed" in (kind, said.get("task")) else 1)
    assert len(answers) > texts if kind in ("tag", "answer") else len(answers) == texts  # those are of tokens
    assert np.isfinite(answers).all()
    assert ours.training["fit"]["steps"] == -(-(known + MORE) // 8)
    # And `compress` finds the rows again, with the columns that the teacher was told.
    assert [len(part) for part in training_splits(bundle)][1:] == [ours.source.rows["dev"], ours.source.rows["test"]]


def test_numbers_keep_the_scale_of_the_labelled_rows(
    regress_bundle: Path, regress_csv: Path, distill: Distill, cache: Path, tmp_path: Path
) -> None:
    distill(regress_bundle, regress_csv, out="alone")
    (without,) = cache.glob("answers-*")
    distill(regress_bundle, regress_csv, without_labels(tmp_path, "regress"))
    (more,) = set(cache.glob("answers-*")) - {without}
    assert np.load(more)[:128] == pytest.approx(np.load(without), abs=1e-2)


def test_the_texts_that_judge_are_not_learnt(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with reviews_csv.open(newline="") as file:
        texts = [(row["text"].upper(),) for row in csv.DictReader(file)]
    same = written(tmp_path / "same.csv", ("text",), texts)
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "one.txt").write_text("a fine film that nobody has seen")
    bundle = distill(classify_bundle, reviews_csv, same, folder)
    assert bundle.manifest.training["distillation"]["unlabelled_rows"] == 161
    said = capsys.readouterr().err
    assert "Added 161 rows without labels." in said
    assert "Left out 40 rows without labels that have the text of a dev or test row." in said
    held_out = load_splits(reviews_csv).test.texts
    with pytest.raises(DataError, match="each row has the text of a dev or test row"):
        distill(classify_bundle, reviews_csv, written(same, ("text",), [(text,) for text in held_out]), out="other")


def test_contexts_that_judge_are_not_learnt_with_other_questions(
    tiny_base: Path, squad_json: Path, distill: Distill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = limbeck.train(str(squad_json), out=tmp_path / "t", base=str(tiny_base), epochs=1, precision="fp32")
    splits = load_splits(squad_json, task="answer")
    contexts = [*(splits.dev.pairs or ()), *(splits.train.pairs or ())[:10]]
    other = written(tmp_path / "q.csv", ("question", "context"), [("what was it", context) for context in contexts])
    distill(teacher.folder, squad_json, other, objective="soft=1")
    assert f"Left out {len(splits.dev)} rows without labels" in capsys.readouterr().err


def test_the_same_rows_need_no_second_run_and_others_do(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = without_labels(tmp_path, "classify")
    first = distill(classify_bundle, reviews_csv, more)
    assert distill(classify_bundle, reviews_csv, more) == read_bundle(first.folder)
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"was made with --unlabelled \["):
        distill(classify_bundle, reviews_csv)
    with more.open("a") as file:
        file.write('\n{"text": "one more fine film"}')
    with pytest.raises(UsageError, match="other rows"):
        distill(classify_bundle, reviews_csv, more)


def test_what_cannot_be_learnt_is_refused(
    classify_bundle: Path, pair_bundle: Path, reviews_csv: Path, pair_csv: Path, distill: Distill, tmp_path: Path
) -> None:
    more = without_labels(tmp_path, "classify")
    with pytest.raises(UsageError, match=r"hard learns nothing\. Add soft=1"):
        distill(classify_bundle, reviews_csv, more, objective="hard=1")
    with pytest.raises(DataError, match="one text a row, and the labelled rows have two"):
        distill(pair_bundle, pair_csv, more)
    more.write_text('{"text": "fine"}\n{"text": ""}\n{"text": "dull"}')
    with pytest.raises(DataError, match=r"more.jsonl, line 2: the text in 'text' is empty"):
        distill(classify_bundle, reviews_csv, more)
    bundle = distill(classify_bundle, reviews_csv, more, skip_bad_rows=True)
    assert bundle.manifest.training["distillation"]["unlabelled_rows"] == 2
    assert "is empty" in (tmp_path / "student-skipped-1.jsonl").read_text()


def test_triplets_are_refused(tiny_base: Path, distill: Distill, tmp_path: Path) -> None:
    choose = random.Random(3)
    kinds = ((GOOD, GOOD, BAD), (BAD, BAD, GOOD))
    rows = [tuple(review(choose, words)[:60] for words in kinds[n % 2]) for n in range(60)]
    data = written(tmp_path / "three.csv", ("anchor", "positive", "negative"), rows)
    settings: dict[str, Any] = {"base": str(tiny_base), "task": "embed", "epochs": 1, "precision": "fp32"}
    teacher = limbeck.train(str(data), out=tmp_path / "teacher", **settings)
    with pytest.raises(UsageError, match="the rows are triplets"):
        distill(teacher.folder, data, without_labels(tmp_path, "embed"))


def test_what_augment_wrote_is_learnt_and_judged_by_the_rows_of_the_teacher(
    tiny_base: Path, reviews_csv: Path, distill: Distill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "opinions.csv"
    data.write_text(reviews_csv.read_text("utf-8").replace("text,label", "opinion,verdict"), "utf-8")
    columns = {"text": "opinion", "label": "verdict"}
    settings: dict[str, Any] = {"base": str(tiny_base), "epochs": 1, "precision": "fp32", **columns}
    teacher = limbeck.train(str(data), out=tmp_path / "teacher", **settings)
    done = limbeck.augment(str(data), out=tmp_path / "more", method=("swap",), **columns)
    bundle = distill(teacher.folder, tmp_path / "more")
    assert bundle.manifest.source.rows["train"] == done.train_rows + done.made_rows
    assert bundle.manifest.source.held_out_sha256 == teacher.manifest.source.held_out_sha256
    said = capsys.readouterr().err
    assert "Dev and test are the rows that were set aside from the teacher too" in said
    assert "may have learnt" not in said
    assert training_splits(bundle)[2].texts == load_splits(reviews_csv).test.texts

    fewer = written(tmp_path / "fewer.csv", ("opinion", "verdict"), [])
    fewer.write_text("\n".join(data.read_text("utf-8").splitlines()[:100]), "utf-8")
    distill(teacher.folder, fewer, out="of_fewer")
    said = capsys.readouterr().err
    assert "it may have learnt some that judge both here" in said
    assert "set aside" not in said
