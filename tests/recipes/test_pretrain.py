from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

import limbeck
from conftest import BAD, GOOD, review
from limbeck.errors import BaseModelError, DataError, UsageError
from limbeck.nn.base import quiet_loading
from limbeck.recipes import pretrain as recipe
from limbeck.training.place import Progress

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("one_thread")

FILES = {
    "README.md",
    "config.json",
    "model.safetensors",
    "pretraining.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
FAST: dict[str, Any] = {"precision": "fp32", "batch": 16, "max_tokens": 32}


@pytest.fixture(autouse=True)
def one_thread_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.training.processes.usable_cpus", lambda: 1)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 120 paragraphs."""
    choose = random.Random(3)
    paragraphs = [". ".join(review(choose, (GOOD, BAD)[n % 2]) for _ in range(3)) + "." for n in range(120)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_from_nothing_to_a_classifier(text: Path, reviews_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "encoder"
    done = limbeck.pretrain(
        str(text), out=out, shape="tiny", vocabulary_size=300, epochs=2, whole_words=True, next_sentence=True, **FAST
    )
    record = json.loads((out / "pretraining.json").read_text())
    assert {p.name for p in out.iterdir()} == FILES
    assert [p.name for p in tmp_path.iterdir()] == ["encoder"]
    assert record["scores"].keys() == {"after"}
    assert done.record.scores["after"]["perplexity"] == record["scores"]["after"]["perplexity"] < 120
    assert record["model"]["vocabulary_size"] < 300
    assert "masked language modelling of whole words and next-sentence prediction" in (out / "README.md").read_text()
    with quiet_loading():
        filled = pipeline("fill-mask", model=str(out), tokenizer=str(out), device="cpu")("a very [MASK] film", top_k=3)
    assert len(filled) == 3
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer("A Film")["input_ids"] == tokenizer("a film")["input_ids"]
    assert tokenizer("a", "film").keys() == {"input_ids", "token_type_ids", "attention_mask"}
    bundle = limbeck.train(str(reviews_csv), out=tmp_path / "model", base=str(out), epochs=6, learning_rate=2e-3)
    assert bundle.manifest.scores["test"]["accuracy"] > 0.6


def test_going_on_with_an_encoder(text: Path, tiny_base: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "encoder"
    words = ["pretrain", text, "--out", out, "--base", tiny_base, "--epochs=3", "--learning-rate=3e-3"]
    words += [f"--{name.replace('_', '-')}={value}" for name, value in FAST.items()]
    ran = command(*words, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    before, after = document["scores"]["before"], document["scores"]["after"]
    assert after["perplexity"] < 0.7 * before["perplexity"]
    assert before["tokens"] == after["tokens"]
    assert "the base has no language modelling head" in ran.err
    assert "Held out 6 of 120 passages" in ran.err
    with quiet_loading():
        _, info = AutoModelForMaskedLM.from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"]

    written = files_of(out)
    again = command(*words)
    assert again.code == 0
    assert "nothing to do" in again.err
    assert f"encoder: {out}" in again.out
    other = command(*words, "--seed=1")
    assert other.code == 2
    assert "was made with --seed 0" in other.err
    assert files_of(out) == written
    # What it has learnt is a base like any other, with a head of its own now.
    more = ["pretrain", text, "--out", tmp_path / "further", "--base", out, "--precision=fp32", "--max-tokens=32"]
    further = command(*more)
    assert "no language modelling head" not in further.err
    assert f"held-out text before: perplexity {after['perplexity']:,.2f}" in further.err


def test_a_run_that_was_stopped_goes_on(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {**FAST, "shape": "tiny", "vocabulary_size": 300}
    whole = limbeck.pretrain(str(text), out=tmp_path / "whole", **arguments)
    real = recipe.pretrain_model

    def stopped(*args: Any, on_step: Any, **rest: Any) -> Any:
        def stop(now: Progress) -> None:
            on_step(now)
            if now.step == 5:
                raise KeyboardInterrupt

        return real(*args, on_step=stop, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "pretrain_model", stopped)
        with pytest.raises(KeyboardInterrupt):
            limbeck.pretrain(str(text), out=tmp_path / "out", checkpoint_seconds=0, **arguments)
    assert not (tmp_path / "out").exists()
    capsys.readouterr()
    resumed = limbeck.pretrain(str(text), out=tmp_path / "out", **arguments)
    assert "Learning the vocabulary" not in capsys.readouterr().err
    assert resumed.record.scores == whole.record.scores
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"shape": "tiny", "base": "x"}, UsageError, "--base goes on with an encoder and --shape starts from nothing"),
        ({"base": "x", "cased": True}, UsageError, "--vocabulary-size and --cased are for a new vocabulary"),
        ({"vocabulary_size": 500}, UsageError, "--vocabulary-size and --cased are for a new vocabulary"),
        ({"shape": "huge"}, UsageError, "unknown shape 'huge': expected one of tiny, mini"),
        ({"shape": "tiny", "vocabulary_size": 9}, UsageError, "--vocabulary-size 9: expected 100 or more"),
        ({"shape": "tiny", "max_tokens": 513}, UsageError, "--max-tokens 513: expected 8 to 512"),
        ({"base": "./nothing"}, BaseModelError, "no encoder at './nothing'"),
    ],
)
def test_what_cannot_be(
    text: Path, tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        limbeck.pretrain(str(text), out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_text_and_tokenizers_that_do_not_do(text: Path, tiny_base: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("one text\n\nand another\n\nand a third", encoding="utf-8")
    with pytest.raises(DataError, match="1 sequences of at most 128 tokens to train on and 1 held out"):
        limbeck.pretrain(str(short), out=tmp_path / "out", shape="tiny")
    maskless = Path(shutil.copytree(tiny_base, tmp_path / "maskless"))
    settings = json.loads((maskless / "tokenizer_config.json").read_text())
    del settings["mask_token"]
    (maskless / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(BaseModelError, match="has no mask token"):
        limbeck.pretrain(str(text), out=tmp_path / "out", base=str(maskless), max_tokens=32)


def test_what_is_not_ours_is_not_replaced(text: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="was not pretrained here"):
            limbeck.pretrain(str(text), out=tmp_path / "out", shape="tiny", overwrite=overwrite)
