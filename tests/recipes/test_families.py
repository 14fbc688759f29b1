"""Every family of encoders, as a tiny random model with a tokenizer of its kind, through all of `build`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import limbeck
from conftest import QUESTION
from families import FAMILIES, make_base
from limbeck.bundle import read_bundle
from limbeck.tasks import Answered, Classification, Embedding, Tagging

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed", "one_thread")

Build = Callable[..., Path]


@pytest.fixture(params=sorted(FAMILIES))
def base(request: pytest.FixtureRequest, reviews_csv: Path, tmp_path: Path) -> str:
    lines = reviews_csv.read_text("utf-8").splitlines()[1:]
    return str(make_base(request.param, [line.rpartition(",")[0] for line in lines], tmp_path / "base"))


def test_classify(base: str, build_bundle: Build, reviews_csv: Path) -> None:
    folder = build_bundle(reviews_csv, base=base, epochs=4)
    fp32, int8 = (variant.certificate for variant in read_bundle(folder).manifest.variants)
    assert fp32 is not None
    assert int8 is not None
    assert (fp32.precision, int8.precision) == ("fp32", "int8")
    assert fp32.max_abs_logit < 1e-3
    assert fp32.changed == 0
    assert fp32.stability.padding_max_abs_logit < 1e-4
    assert int8.max_abs_logit > fp32.max_abs_logit  # it really was quantised
    results = limbeck.load(folder, threads=1).predict(["a good film", "an awful book"])
    assert all(isinstance(result, Classification) for result in results)
    assert limbeck.verify(folder, threads=1).holds


def test_tag(base: str, build_bundle: Build, tag_jsonl: Path) -> None:
    folder = build_bundle(tag_jsonl, base=base, epochs=4, batch=8)
    text = "The film was GREAT and  the book tedious"
    (found,) = limbeck.load(folder, threads=1).predict([text])
    assert isinstance(found, Tagging)
    words = {(0, 3), (4, 8), (9, 12), (13, 18), (19, 22), (24, 27), (28, 32), (33, 40)}
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    assert all(e.start in starts and e.end in ends and e.text == text[e.start : e.end] for e in found.entities)


def test_answer(base: str, build_bundle: Build, squad_json: Path) -> None:
    folder = build_bundle(squad_json, base=base, epochs=1)
    context = "the day was long  and the FILM was lovely , it was"
    asked = [(QUESTION, context), (QUESTION, context * 8)]
    fp32 = read_bundle(folder).manifest.variants[0].certificate
    assert fp32 is not None
    assert fp32.max_abs_logit < 1e-3
    for (_, told), found in zip(asked, limbeck.load(folder, threads=1).predict(asked), strict=True):
        assert isinstance(found, Answered)
        assert found.best
        for span in found.best:
            assert span.text == told[span.start : span.end] == span.text.strip() != ""


def test_embed(base: str, build_bundle: Build, pair_csv: Path) -> None:
    folder = build_bundle(pair_csv, base=base, epochs=1, task="embed", label="")
    fp32 = read_bundle(folder).manifest.variants[0].certificate
    assert fp32 is not None
    assert fp32.max_abs_logit < 1e-3
    (found,) = limbeck.load(folder, variant="onnx-fp32", threads=1).predict(["the film was great"])
    assert isinstance(found, Embedding)
    (vector,) = SentenceTransformer(str(folder), device="cpu").encode(["the film was great"])
    np.testing.assert_allclose(vector, found.vector, atol=1e-4)
