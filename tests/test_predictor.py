from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import limbeck
from limbeck.bundle import Variant, open_bundle, write_manifest
from limbeck.engines.base import Arrays
from limbeck.errors import BundleError, CheckFailed, TooLong, UsageError
from limbeck.export.openvino import export_openvino
from limbeck.nn.model import load_model
from limbeck.predictor import Predictor
from limbeck.tasks.results import Classification, MultiLabelling, Regression

pytest_plugins = ("bundles",)

TEXTS = [f"film {n} was {'good and bright ' * (n % 5)}{'dull ' * (n % 3)}" for n in range(24)]
LONG = "a good film " * 40


@pytest.fixture(scope="module")
def predictor(classify_bundle: Path) -> Predictor:
    return limbeck.load(classify_bundle, threads=1)


def score(result: object) -> float:
    assert isinstance(result, Classification)
    return result.score


def test_a_classification(predictor: Predictor) -> None:
    (result,) = predictor.predict(["a good film"])
    assert isinstance(result, Classification)
    assert set(result.scores) == {"negative", "positive"}
    assert sum(result.scores.values()) == pytest.approx(1)
    assert result.score == result.scores[result.label] == max(result.scores.values())
    # [CLS] a good film [SEP]
    assert (result.reading.tokens, result.reading.truncated_tokens, result.reading.windows) == (5, 0, 1)


def test_it_has_learnt_something(predictor: Predictor) -> None:
    good, bad = predictor.predict(["wonderful and bright and lovely", "awful and dreadful and tedious"])
    assert isinstance(good, Classification)
    assert isinstance(bad, Classification)
    assert (good.label, bad.label) == ("positive", "negative")


def test_a_multilabelling(multilabel_bundle: Path) -> None:
    for result in limbeck.load(multilabel_bundle, threads=1).predict(TEXTS):
        assert isinstance(result, MultiLabelling)
        assert set(result.labels) <= set(result.scores) == {"bad", "good"}
        assert result.labels == sorted(result.labels, key=lambda label: -result.scores[label])


def test_a_regression_is_in_the_unit_of_the_labels(regress_bundle: Path) -> None:
    for result in limbeck.load(regress_bundle, threads=1).predict(TEXTS):
        assert isinstance(result, Regression)
        assert 0 < result.value < 11


def test_a_pair(pair_bundle: Path) -> None:
    predictor = limbeck.load(pair_bundle, threads=1)
    both = predictor.predict([("a good film", "a bad film"), ("a bad film", "a good film")])
    assert [type(result) for result in both] == [Classification] * 2
    assert score(both[0]) != score(both[1])
    assert predictor.predict([["a good film", "a bad film"]])[0] == both[0]  # type: ignore[list-item]


def test_results_come_in_order_and_do_not_depend_on_the_company(predictor: Predictor) -> None:
    together = predictor.predict(TEXTS)
    backwards = predictor.predict(TEXTS[::-1])[::-1]
    alone = [predictor.predict([text])[0] for text in TEXTS]
    for a, b, c in zip(together, backwards, alone, strict=True):
        assert score(a) == pytest.approx(score(b), abs=1e-5)
        assert score(a) == pytest.approx(score(c), abs=1e-5)
        assert a.reading == b.reading == c.reading


def test_batches_of_any_size_give_the_same_logits(predictor: Predictor) -> None:
    tokens = predictor.tokenizer.encode(TEXTS, max_tokens=predictor.model.max_tokens)
    whole = predictor.logits(tokens)
    for size in (1, 2, 5, 23):
        parts = [predictor.logits(tokens[start : start + size]) for start in range(0, len(tokens), size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_progress_counts_every_row(predictor: Predictor) -> None:
    rows: list[int] = []
    predictor.predict(TEXTS, on_batch=rows.append)
    assert sum(rows) == len(TEXTS)


def test_no_texts(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a fine film", "predict takes a list of texts, not one string"),
        (["fine", 3, None], r"each text must be a string that is not empty: text 2 is 3; text 3 is None"),
        (["fine", "", " \n"], r"text 2 is ''; text 3 is ' \\n'"),
        ([("a", "b")], r"each text must be a string that is not empty: text 1 is \('a', 'b'\)"),
        ([b"bytes"], r"text 1 is b'bytes'"),
        ([""] * 30, "text 20 is '' and 10 more"),
    ],
)
def test_what_is_not_a_text(predictor: Predictor, texts: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        predictor.predict(texts)


@pytest.mark.parametrize("texts", [["alone"], [("a",)], [("a", "b", "c")], [("a", None)], [("", "b")]])
def test_what_is_not_a_pair(pair_bundle: Path, texts: Any) -> None:
    with pytest.raises(UsageError, match=r"each text must be a \(text, pair\) tuple that is not empty: text 1 is"):
        limbeck.load(pair_bundle, threads=1).predict(texts)


def test_many_threads_give_the_answers_of_one(predictor: Predictor) -> None:
    expected = predictor.predict(TEXTS, on_long="window")
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(predictor.predict, TEXTS, on_long="window") for _ in range(32)]
        assert all(job.result() == expected for job in jobs)


def test_threads_with_different_policies_do_not_disturb_one_another(predictor: Predictor) -> None:
    texts = [*TEXTS, LONG]
    expected = {policy: predictor.predict(texts, on_long=policy) for policy in ("truncate", "window")}  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as pool:
        jobs = [
            (policy, pool.submit(predictor.predict, texts, on_long=policy))  # type: ignore[arg-type]
            for _ in range(8)
            for policy in ("truncate", "window")
        ]
        assert all(job.result() == expected[policy] for policy, job in jobs)


def test_a_long_text(predictor: Predictor) -> None:
    limit = predictor.model.max_tokens
    (cut,) = predictor.predict([LONG])
    assert (cut.reading.tokens, cut.reading.truncated_tokens) == (limit, 120 + 2 - limit)
    (windows,) = predictor.predict([LONG], on_long="window")
    assert windows.reading.windows > 1
    assert windows.reading.truncated_tokens == 0
    assert windows.reading.tokens > 120
    with pytest.raises(TooLong, match=r"text 2 \(120 tokens\)"):
        predictor.predict(["short", LONG], on_long="error")
    with pytest.raises(UsageError, match="unknown policy for long texts 'cut'"):
        predictor.predict([LONG], on_long="cut")  # type: ignore[arg-type]


def test_max_tokens(classify_bundle: Path, predictor: Predictor) -> None:
    text = "a good film " * 6
    assert predictor.predict([text])[0].reading.truncated_tokens == 0
    assert limbeck.load(classify_bundle, threads=1, max_tokens=10).predict([text])[0].reading.tokens == 10
    # More than it was trained to read, as far as the encoder can.
    assert limbeck.load(classify_bundle, threads=1, max_tokens=64).predict([LONG])[0].reading.tokens == 64
    for wrong in (7, 65):
        with pytest.raises(UsageError, match=f"--max-tokens {wrong}: expected 8 to 64, what this encoder can read"):
            limbeck.load(classify_bundle, max_tokens=wrong)


def test_variants(classify_bundle: Path, predictor: Predictor) -> None:
    int8 = limbeck.load(classify_bundle, variant="onnx-int8", threads=1)
    assert (predictor.variant.name, int8.variant.name) == ("onnx-fp32", "onnx-int8")
    for a, b in zip(predictor.predict(TEXTS), int8.predict(TEXTS), strict=True):
        assert score(a) == pytest.approx(score(b), abs=0.2)
    with pytest.raises(UsageError, match="has no variant 'int4': expected one of onnx-fp32, onnx-int8"):
        limbeck.load(classify_bundle, variant="int4")


def test_answers_that_are_no_numbers_are_refused(classify_bundle: Path) -> None:
    class Broken:
        def run(self, inputs: Arrays) -> NDArray[np.float32]:
            logits = np.zeros((len(inputs["input_ids"]), 2), dtype=np.float32)
            logits[0, 0] = np.nan
            return logits

    bundle = open_bundle(classify_bundle)
    broken = Predictor(bundle, bundle.variant("onnx-int8"), Broken())
    with pytest.raises(CheckFailed, match=r"onnx-int8 gave no numbers for 1 of 2 .*--variant onnx-fp32 or limbeck"):
        broken.predict(["a fine film", "an awful book and a dull plot"])


def test_only_what_is_loaded_is_read(own_bundle: Path) -> None:
    (own_bundle / "model.safetensors").write_bytes(b"edited")
    assert limbeck.load(own_bundle).predict(["a good film"])
    (own_bundle / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"is not whole, files are missing: model.safetensors"):
        limbeck.load(own_bundle)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer_config.json"])
def test_of_the_reference_all_that_is_not_compiled_is_read(own_bundle: Path, name: str) -> None:
    (own_bundle / "onnx/model_quantized.onnx").write_bytes(b"edited")
    assert limbeck.load(own_bundle, variant="pytorch-fp32", threads=1).predict(["a good film"])
    with (own_bundle / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=f"damaged or edited after they were written: {name}"):
        limbeck.load(own_bundle, variant="pytorch-fp32")


def test_a_file_that_is_no_graph(own_bundle: Path) -> None:
    (own_bundle / "onnx/model.onnx").write_bytes(b"not a graph")
    with pytest.raises(
        BundleError, match=r"is not whole, files were damaged or edited after they were written: onnx/model.onnx"
    ):
        limbeck.load(own_bundle)


def test_what_was_compiled_of_other_weights_does_not_answer(
    own_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    compiled = tmp_path / "cache/limbeck/compiled"
    (compiled / "unused").mkdir(parents=True)
    os.utime(compiled / "unused", (0, 0))
    manifest = open_bundle(own_bundle).manifest
    model = load_model(own_bundle, manifest.task, pooling=manifest.model.pooling, attention="eager")
    of: dict[str, Any] = {"name": "openvino-fp32", "engine": "openvino", "precision": "fp32", "file": "model.xml"}
    manifest = msgspec.structs.replace(manifest, variants=(Variant(**of, inputs=(), opset=17, fused={}),))
    scores, graph = [], own_bundle / "model.xml"
    export_openvino(model, graph)
    layout = graph.read_bytes()
    for _ in range(2):
        export_openvino(model, graph)
        graph.write_bytes(layout)  # the same size and time, as in two images of a container
        os.utime(graph, (1e9, 1e9))
        write_manifest(own_bundle, manifest)
        for _ in range(2):  # the second time from the cache
            (found,) = limbeck.load(own_bundle, variant="openvino-fp32", threads=1).predict(["a good film"])
            scores.append(score(found))
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(0.5)
    assert scores[0] == scores[1]
    assert scores[2] == scores[3] != scores[0]
    assert len(list(compiled.iterdir())) == 2
