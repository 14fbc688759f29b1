from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModel

from conftest import BAD, GOOD, review
from limbeck.bundle import read_bundle
from limbeck.data import load_corpus
from limbeck.errors import UsageError
from limbeck.recipes.distilling.general import general_student, parse_general
from limbeck.training.loop import fit
from limbeck.training.place import Progress
from limbeck.training.plan import Plan

pytest_plugins = ("bundles",)
SETTINGS: dict[str, Any] = {
    "student": "1x16",
    "start": "random",
    "objective": "embeddings=1,hidden=1,attention=1",
    "layer_map": "uniform",
    "plan": Plan(epochs=3, batch=8, learning_rate=3e-3, checkpoint_seconds=0.0),
    "dropout": 0.0,
    "precision": "fp32",
    "overwrite": False,
}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    choose = random.Random(3)
    paragraphs = [". ".join(review(choose, (GOOD, BAD)[n % 2]) for _ in range(3)) + "." for n in range(200)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return path


def losses(folder: Path) -> list[float]:
    record = json.loads((folder / "pretraining.json").read_text("utf-8"))
    return [-e["score"] for e in record["training"]["fit"]["evaluations"]]


def test_a_student_comes_nearer_to_the_encoder_on_text_that_it_has_not_read(
    classify_bundle: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = read_bundle(classify_bundle)
    folder = Path(general_student(bundle, load_corpus(text), out=tmp_path / "general", **SETTINGS))
    found = losses(folder)
    assert found[0] > found[1] > found[2] > 0
    encoder = AutoModel.from_pretrained(folder)  # a plain encoder, with no projection left in it
    assert (encoder.config.num_hidden_layers, encoder.config.hidden_size) == (1, 16)
    assert (folder / "tokenizer.json").read_bytes() == (classify_bundle / "tokenizer.json").read_bytes()
    assert not list(tmp_path.glob(".*"))
    assert general_student(bundle, load_corpus(text), out=tmp_path / "general", **SETTINGS) == str(folder)
    assert "already" in capsys.readouterr().err
    other = {**SETTINGS, "plan": replace(SETTINGS["plan"], epochs=1), "objective": "hidden=1"}
    with pytest.raises(UsageError, match=r"--general-objective embeddings=1,.*--general-epochs 3.*--overwrite"):
        general_student(bundle, load_corpus(text), out=tmp_path / "general", **other)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    general_student(bundle, load_corpus(text), out=tmp_path / "general", **{**SETTINGS, "overwrite": True})
    assert (folder / "model.safetensors").stat().st_mtime_ns == before  # made with these arguments already
    general_student(bundle, load_corpus(text), out=tmp_path / "general", **{**other, "overwrite": True})
    assert len(losses(folder)) == 1


def test_a_stopped_stage_goes_on_to_the_same_weights(
    classify_bundle: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read_bundle(classify_bundle)
    whole = Path(general_student(bundle, load_corpus(text), out=tmp_path / "whole", **SETTINGS))

    def stop_at_four(*arguments: Any, **named: Any) -> Any:
        def on_step(now: Progress) -> None:
            if now.step == 4:
                raise KeyboardInterrupt

        return fit(*arguments, **{**named, "on_step": on_step})

    with monkeypatch.context() as patch:
        patch.setattr("limbeck.distillation.fit_states.fit", stop_at_four)
        with pytest.raises(KeyboardInterrupt):
            general_student(bundle, load_corpus(text), out=tmp_path / "broken", **SETTINGS)
    broken = Path(general_student(bundle, load_corpus(text), out=tmp_path / "broken", **SETTINGS))
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_what_needs_answers_cannot_be_learnt_from_plain_text() -> None:
    with pytest.raises(UsageError, match="no labels to learn soft, hard from; expected some of hidden"):
        parse_general("soft=1,hard=1,hidden=1")
    with pytest.raises(UsageError, match="--general-objective hidden=-1: expected weights of 0 or more"):
        parse_general("hidden=-1")
