from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import limbeck
from conftest import BAD, GOOD, review
from limbeck.bundle import read_bundle
from limbeck.errors import UsageError
from limbeck.recipes.compressing.judge import Judge
from limbeck.recipes.held_out import training_splits
from limbeck.tasks import Embed, Embedding

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed", "one_thread")
TEXTS = ["the film was great", "a dull plot", "one long and lovely day with the music"]


@pytest.fixture(scope="module")
def write_pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """160 rows of two reviews of one kind, with more columns if wanted."""

    def write(header: tuple[str, ...], more: Callable[[random.Random, int], tuple[str, ...]]) -> Path:
        choose = random.Random(3)
        path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for number in range(160):
                own = (GOOD, BAD)[number % 2]
                writer.writerow((review(choose, own), review(choose, own), *more(choose, number % 2)))
        return path

    return write


@pytest.fixture(scope="module")
def triplets(write_pairs: Callable[..., Path]) -> Path:
    return write_pairs(("anchor", "positive", "negative"), lambda choose, kind: (review(choose, (BAD, GOOD)[kind]),))


@pytest.fixture(scope="module")
def embedder(build_bundle: Callable[..., Path], triplets: Path) -> Path:
    return build_bundle(triplets, task="embed", epochs=3)


def test_build_trains_compresses_and_proves_an_embedder(embedder: Path) -> None:
    manifest = read_bundle(embedder).manifest
    assert manifest.task == Embed("triplets")
    assert manifest.model.pooling == "mean"
    assert manifest.scores["test"]["triplet_accuracy"] > max(0.9, manifest.training["untrained"]["triplet_accuracy"])
    for variant in manifest.variants:
        assert variant.certificate is not None
        assert variant.certificate.metric == "triplet_accuracy"
        assert variant.certificate.rows == 16
    assert manifest.variants[0].certificate.max_abs_logit < 1e-3  # type: ignore[union-attr]
    report = (embedder / "report.html").read_text("utf-8")
    assert "The base as it came" in report
    assert "Margins of triplets" in report
    card = (embedder / "README.md").read_text("utf-8")
    assert "library_name: sentence-transformers" in card
    assert "pipeline_tag: sentence-similarity" in card


def test_int8_is_calibrated_on_texts_of_all_columns(
    embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.compressing.judge.CALIBRATION_ROWS", 30)
    rows = Judge(read_bundle(embedder), tmp_path, None, 1.0, 1).calibration
    train = training_splits(read_bundle(embedder))[0]
    read = limbeck.load(embedder, threads=1).prepare
    found = [row["input_ids"].tolist() for row in rows]
    for column in (train.texts, train.pairs or [], [str(label) for label in train.labels]):
        there = [[t.input_ids.tolist()] for t in read(column).tokens]
        assert sum(ids in there for ids in found) == 10


def test_sentence_transformers_gives_the_same_vectors(embedder: Path) -> None:
    results = limbeck.load(embedder, variant="onnx-fp32", threads=1).predict(TEXTS)
    found = np.stack([r.vector for r in results if isinstance(r, Embedding)])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(SentenceTransformer(str(embedder), device="cpu").encode(TEXTS), found, atol=1e-5)


@pytest.mark.parametrize(
    ("header", "more", "metric"),
    [
        (("sentence1", "sentence2", "score"), lambda choose, kind: (f"{kind + choose.random():.3f}",), "spearman"),
        (("query", "answer"), lambda choose, kind: (), "recall_at_1"),
    ],
    ids=["scored", "pairs"],
)
def test_scored_pairs_and_bare_pairs_are_learnt_from(
    build_bundle: Callable[..., Path], write_pairs: Callable[..., Path], header: tuple[str, ...], more: Any, metric: str
) -> None:
    bundle = build_bundle(write_pairs(header, more), task="embed", pooling="cls", normalize=False)
    manifest = read_bundle(bundle).manifest
    assert manifest.task.metric == metric
    (result,) = limbeck.load(bundle, variant="onnx-fp32", threads=1).predict(TEXTS[:1])
    assert isinstance(result, Embedding)
    assert np.linalg.norm(result.vector) > 1.5
    (vector,) = SentenceTransformer(str(bundle), device="cpu").encode(TEXTS[:1])
    np.testing.assert_allclose(vector, result.vector, atol=1e-4)


def test_predict_reads_a_column_of_texts_and_writes_vectors(embedder: Path, tmp_path: Path, command: Command) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("id,text\n1,the film was great\n2,a dull plot\n", "utf-8")
    done = command("predict", embedder, "--input", source, "--output", output)
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    expected = limbeck.load(embedder).predict(TEXTS[:2])
    for row, result in zip(rows, expected, strict=True):
        assert isinstance(result, Embedding)
        assert row["prediction"] == pytest.approx(result.vector.tolist(), abs=1e-6)


def test_flags_without_a_meaning_are_refused(
    triplets: Path, reviews_csv: Path, fast: dict[str, Any], tmp_path: Path
) -> None:
    given = {name: value for name, value in fast.items() if name not in ("threads", "max_drop")}
    with pytest.raises(UsageError, match=r"--r-drop, --pooling pooler: has no meaning for the task embed"):
        limbeck.train(str(triplets), out=tmp_path / "m", task="embed", r_drop=1.0, pooling="pooler", **given)
    with pytest.raises(UsageError, match="--no-normalize: has no meaning for the task classify"):
        limbeck.train(str(reviews_csv), out=tmp_path / "m", normalize=False, **given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unfreeze_gradually": True}, "--unfreeze-gradually: has no meaning for the task embed"),
        ({"train_last": 0}, "--train-last 0: leaves nothing to learn, as this task has no head"),
    ],
)
def test_a_task_without_a_head_has_something_to_learn(
    arguments: dict[str, Any], message: str, pair_csv: Path, tiny_base: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"base": str(tiny_base), "task": "embed", "label": "", "precision": "fp32"}
    with pytest.raises(UsageError, match=message):
        limbeck.train(str(pair_csv), out=tmp_path / "model", **settings, **arguments)
