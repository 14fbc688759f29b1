from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from transformers import AutoModelForTokenClassification, AutoTokenizer

import limbeck
from limbeck.bundle import read_bundle
from limbeck.engines import compute_logits
from limbeck.errors import TooLong, UsageError
from limbeck.predictor import merge_windows, tokenize
from limbeck.tasks import Tag, Tagging
from limbeck.tasks.bio import best_tags

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed", "one_thread")
TEXT = "The  film was GREAT and the book tedious"


@pytest.fixture(scope="module")
def tagger(build_bundle: Callable[..., Path], tag_jsonl: Path) -> Path:
    return build_bundle(tag_jsonl, epochs=6, batch=8, max_tokens=32)


def test_build_trains_compresses_and_proves_a_tagger(tagger: Path) -> None:
    manifest = read_bundle(tagger).manifest
    assert isinstance(manifest.task, Tag)
    assert manifest.task.labels == ("BAD", "GOOD")
    assert manifest.model.pooling == "tokens"
    assert manifest.scores["test"]["entity_f1"] > 0.9
    for variant in manifest.variants:
        assert variant.certificate is not None
        assert variant.certificate.metric == "entity_f1"
    assert manifest.variants[0].fused["Attention"] == 2
    assert manifest.variants[0].certificate.max_abs_logit < 1e-3  # type: ignore[union-attr]
    report = (tagger / "report.html").read_text("utf-8")
    assert "Entities, best F1 first" in report
    assert "entity F1" in report
    assert "pipeline_tag: token-classification" in (tagger / "README.md").read_text("utf-8")


def test_entities_are_spans_of_the_original_text(tagger: Path) -> None:
    found, none = limbeck.load(tagger, threads=1).predict([TEXT, "the day"])
    assert isinstance(found, Tagging)
    assert [(e.label, e.text) for e in found.entities] == [("GOOD", "GREAT"), ("BAD", "tedious")]
    assert all(TEXT[e.start : e.end] == e.text and 0.5 < e.score <= 1 for e in found.entities)
    assert isinstance(none, Tagging)
    assert none.entities == []


def test_a_list_of_words_is_a_text_too(tagger: Path) -> None:
    predictor = limbeck.load(tagger, threads=1)
    words = ["the", "film", "was", "dull"]
    assert predictor.predict([words]) == predictor.predict([" ".join(words)])
    with pytest.raises(UsageError, match="each text must be a string"):
        predictor.predict([["the", 3]])  # type: ignore[list-item]


def test_long_texts_are_read_in_windows_and_lose_no_entity(tagger: Path) -> None:
    predictor = limbeck.load(tagger, variant="onnx-fp32", threads=1)
    text = " ".join(["the film was great and the book was dull"] * 12)
    (found,) = predictor.predict([text])
    assert isinstance(found, Tagging)
    assert found.reading.windows > 2
    assert [e.label for e in found.entities] == ["GOOD", "BAD"] * 12
    (cut,) = predictor.predict([text], on_long="truncate")
    assert isinstance(cut, Tagging)
    assert cut.reading.truncated_tokens > 0
    assert len(cut.entities) < 10
    with pytest.raises(TooLong):
        predictor.predict([text], on_long="error")


def test_each_word_is_taken_from_the_window_with_most_context(tagger: Path) -> None:
    predictor = limbeck.load(tagger, threads=1)
    text = " ".join(["film"] * 70)
    tokens = tokenize(predictor.tokenizer, predictor.task, [text], None, max_tokens=32)
    windows = len(tokens)
    assert windows > 2
    logits = np.full((windows, 30, 5), -np.inf, dtype=np.float32)
    for number, window in enumerate(tokens):
        assert window.units is not None
        logits[number, : len(window.units.numbers)] = number
    merged = merge_windows(predictor.task, tokens, logits)
    assert merged.shape == (1, 70, 5)
    taken = merged[0, :, 0].tolist()
    assert taken == sorted(taken)
    assert set(taken) == set(range(windows))
    # Windows of 30 words begin every 23: the 7 they share are divided in the middle.
    assert [taken.index(number) for number in range(1, windows)] == pytest.approx([26.5, 49.5], abs=1)


def test_windows_of_texts_are_merged_as_if_each_text_were_alone(tagger: Path) -> None:
    predictor = limbeck.load(tagger, threads=1)
    texts = ["a good film", " ".join(["film"] * 70), "", "bad"]
    tokens = tokenize(predictor.tokenizer, predictor.task, texts, None, max_tokens=32)
    random = np.random.default_rng(0)
    logits = np.full((len(tokens), 30, 5), -np.inf, dtype=np.float32)
    for found, window in zip(logits, tokens, strict=True):
        assert window.units is not None
        found[: len(window.units.numbers)] = random.normal(size=(len(window.units.numbers), 5))
    merged = merge_windows(predictor.task, tokens, logits)
    assert merged.shape == (4, 70, 5)
    for row in range(len(texts)):
        own = [i for i, window in enumerate(tokens) if window.row == row]
        alone = merge_windows(predictor.task, [tokens[i] for i in own], logits[own])[0]
        width = int(np.isfinite(alone[:, 0]).sum())
        np.testing.assert_array_equal(merged[row, :width], alone[:width])
        assert (merged[row, width:] == -np.inf).all()


def test_plain_transformers_and_onnxruntime_read_the_bundle(tagger: Path) -> None:
    manifest = read_bundle(tagger).manifest
    task = manifest.task
    assert isinstance(task, Tag)
    model = AutoModelForTokenClassification.from_pretrained(tagger).eval()
    assert tuple(model.config.id2label.values()) == task.tags
    inputs = AutoTokenizer.from_pretrained(tagger)(
        ["the film was great"], return_tensors="pt", return_token_type_ids=True
    )
    theirs = model(**inputs).logits.detach().numpy()
    session = onnxruntime.InferenceSession(tagger / "onnx/model.onnx")
    ours = session.run(None, {name: inputs[name].numpy() for name in ("input_ids", "attention_mask", "token_type_ids")})
    np.testing.assert_allclose(ours[0], theirs, atol=1e-4)
    assert [task.tags[i] for i in theirs[0].argmax(axis=1)][1:5] == ["O", "O", "O", "B-GOOD"]


def test_the_command_line(tagger: Path, command: Command, tmp_path: Path) -> None:
    ran = command("predict", tagger, TEXT)
    (line,) = ran.out.splitlines()
    assert [(e["label"], e["text"]) for e in json.loads(line)["prediction"]] == [("GOOD", "GREAT"), ("BAD", "tedious")]
    file = tmp_path / "words.jsonl"
    file.write_text(json.dumps({"tokens": ["a", "lovely", "day"]}) + "\n")
    ran = command("predict", tagger, "--input", file)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["prediction"][0] | {"score": 1} == {
        "label": "GOOD",
        "text": "lovely",
        "start": 2,
        "end": 8,
        "score": 1,
    }
    assert command("verify", tagger, "--threads", 1).code == 0


def test_what_means_nothing_to_a_tagger_is_refused(tag_jsonl: Path, tmp_path: Path, tiny_base: Path) -> None:
    for arguments in ({"pooling": "mean"}, {"balance_labels": True}):
        with pytest.raises(UsageError, match="has no meaning for the task tag"):
            limbeck.train(str(tag_jsonl), out=tmp_path / "out", base=str(tiny_base), **arguments)  # type: ignore[arg-type]


def test_answers_do_not_depend_on_company_in_fp32(tagger: Path) -> None:
    predictor = limbeck.load(tagger, variant="onnx-fp32", threads=1)
    texts = ["a great film", "the awful book was long and quite dull", "it"]
    together = [e for r in predictor.predict(texts) for e in r.entities]  # type: ignore[union-attr]
    alone = [e for text in texts for e in predictor.predict([text])[0].entities]  # type: ignore[union-attr]
    assert [(e.label, e.start, e.end) for e in together] == [(e.label, e.start, e.end) for e in alone]
    assert [e.score for e in together] == pytest.approx([e.score for e in alone], abs=1e-5)


def test_craft_trains_a_tagger_too(tag_jsonl: Path, tmp_path: Path, tiny_base: Path) -> None:
    craft = {"r_drop": 1.0, "adversarial": "fgm", "label_smoothing": 0.1, "ema": 0.9, "layer_decay": 0.9}
    fast = {"base": str(tiny_base), "epochs": 2, "learning_rate": 3e-3, "precision": "fp32", "max_tokens": 12}
    bundle = limbeck.train(str(tag_jsonl), out=tmp_path / "out", **fast, **craft)  # type: ignore[arg-type]
    assert bundle.manifest.scores["test"]["tag_accuracy"] > 0.6


def test_int8_tags_are_legal(tagger: Path) -> None:
    predictor = limbeck.load(tagger, threads=1)
    tokens = tokenize(predictor.tokenizer, predictor.task, [TEXT, "good bad"], None, max_tokens=32)
    logits = compute_logits(predictor._engine.run, tokens, pad_id=0, max_tokens=32)
    assert logits.shape[0] == 2
    assert (best_tags(logits)[1, 2:] == -1).all()


def test_a_tagger_that_finds_no_entity_says_so(
    tag_jsonl: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in tag_jsonl.read_text("utf-8").splitlines()]
    for number, row in enumerate(rows):  # one word in some sixty, for no reason
        row["ner_tags"] = ["O" if i or number % 8 else "B-BAD" for i, _ in enumerate(row["ner_tags"])]
    data = tmp_path / "words.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    limbeck.train(str(data), out=tmp_path / "model", base=str(tiny_base), epochs=2, learning_rate=3e-3)
    said = capsys.readouterr().err
    assert "the model has learnt NOTHING that shows on test: it needs more rows" in said


def test_a_tagger_is_not_advised_what_is_refused(
    tag_jsonl: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tag_jsonl.read_text("utf-8").splitlines()
    rare = [row for row in rows if "B-BAD" in row][:6]
    data = tmp_path / "uneven.jsonl"
    data.write_text("\n".join([*(row for row in rows if "B-BAD" not in row), *rare]) + "\n", "utf-8")
    settings: dict[str, Any] = {"base": str(tiny_base), "epochs": 1, "precision": "fp32"}
    limbeck.train(str(data), out=tmp_path / "model", **settings)
    said = capsys.readouterr().err
    assert "uneven labels: 'GOOD' has" in said
    assert "--balance-labels" not in said
    with pytest.raises(UsageError, match="--balance-labels: has no meaning for the task tag"):
        limbeck.train(str(data), out=tmp_path / "other", balance_labels=True, **settings)
