"""`limbeck distill` end to end, on tiny models."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

import limbeck
from families import make_base
from limbeck.bundle import Bundle, read_bundle
from limbeck.data import Columns, load_splits
from limbeck.distillation.wanted import PRESETS
from limbeck.engines import Settings, compute_logits
from limbeck.engines.onnxruntime_engine import OnnxRuntimeEngine
from limbeck.errors import DataError, UsageError
from limbeck.files import sha256_of
from limbeck.recipes.distilling.teachers import Teacher as Answering
from limbeck.recipes.report import report
from limbeck.report.worth import ALONE, BASELINE, STUDENT, TEACHER, standings_of
from limbeck.text import Tokenizer
from limbeck.training.loop import fit
from limbeck.training.place import Progress

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed")

FAST: dict[str, Any] = {"student": "L1", "epochs": 4, "learning_rate": 3e-3, "precision": "fp32", "compare": False}
Distill = Callable[..., Bundle]
Teacher = Callable[..., Path]

ONE = Settings(threads=1)


class Stopped(Exception):
    """Somebody pulled the plug."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty; and training on one thread."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("limbeck.training.processes.usable_cpus", lambda: 1)
    return tmp_path / "cache"


@pytest.fixture
def distill(tmp_path: Path) -> Distill:
    def run(teacher: Path, data: Path, out: str = "student", **arguments: Any) -> Bundle:
        return limbeck.distill(teacher, str(data), out=tmp_path / out, **{**FAST, **arguments})

    return run


@pytest.fixture
def teacher(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Teacher:
    """Trains a teacher, and compiles nothing."""
    monkeypatch.setattr("limbeck.training.processes.usable_cpus", lambda: 1)

    def run(data: Path, out: str = "teacher", **arguments: Any) -> Path:
        settings = {"base": str(tiny_base), "epochs": 4, "learning_rate": 3e-3, "precision": "fp32", **arguments}
        return limbeck.train(str(data), out=tmp_path / out, **settings).folder

    return run


def test_a_student_learns_and_is_a_bundle_like_any_other(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, capsys: pytest.CaptureFixture[str]
) -> None:
    # With labels too: the teacher is not sure of all that is asked below.
    bundle = distill(classify_bundle, reviews_csv, objective="soft=0.5,hard=0.5,hidden=1")
    said = capsys.readouterr().err
    taught = bundle.manifest.training["distillation"]
    theirs = read_bundle(classify_bundle).manifest
    assert taught["teacher_scores"]["test"] == theirs.scores["test"]  # the same rows, the same answers
    assert taught["objective"] == {"soft": 0.5, "hard": 0.5, "hidden": 1.0}
    assert (taught["start"], taught["started_from"], taught["states_kept"]) == ("layers", [0], None)
    assert taught["layer_map"] == [[0, 0]]
    ours = bundle.manifest.scores["test"]["accuracy"]
    assert ours > 0.8
    assert taught["retention"]["test"] == pytest.approx(100 * ours / theirs.scores["test"]["accuracy"])
    assert f"{taught['retention']['test']:.1f} %" in said
    assert bundle.manifest.model.parameters < taught["teacher_parameters"] == theirs.model.parameters
    assert bundle.manifest.model.max_tokens == theirs.model.max_tokens
    assert bundle.manifest.task.labels == ("negative", "positive")
    assert not [name for name in load_file(bundle.folder / "model.safetensors") if "projection" in name]

    limbeck.compress(bundle.folder, max_drop=100.0, threads=1)
    assert limbeck.verify(bundle.folder, threads=1).holds
    good, bad = limbeck.load(bundle.folder, threads=1).predict(["a lovely film", "a dreadful book"])
    assert (good.label, bad.label) == ("positive", "negative")  # type: ignore[union-attr]
    report(bundle.folder)
    assert f"{taught['retention']['test']:.1f} % kept" in (bundle.folder / "report.html").read_text("utf-8")
    assert "Distilled by limbeck" in (bundle.folder / "README.md").read_text("utf-8")


def test_a_student_is_set_beside_those_that_no_teacher_taught(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = distill(classify_bundle, reviews_csv, compare=True)
    said = capsys.readouterr().err
    found = {s.name: s for s in standings_of(bundle.manifest)}
    assert list(found) == [TEACHER, STUDENT, ALONE, BASELINE]
    scores = bundle.manifest.scores["test"]
    assert found[STUDENT].score == pytest.approx(scores["accuracy"])
    assert (found[STUDENT].ahead_points, found[STUDENT].ahead_low, found[STUDENT].ahead_high) == (0, 0, 0)
    assert found[TEACHER].score == pytest.approx(read_bundle(classify_bundle).manifest.scores["test"]["accuracy"])
    assert found[ALONE].score > 0.8
    assert found[ALONE].parameters == found[STUDENT].parameters < found[TEACHER].parameters
    assert found[BASELINE].score > 0.8  # the reviews are told apart by their words
    assert found[BASELINE].compiled["fp32"].rows_per_second > 0
    for standing in found.values():
        assert standing.ahead_low <= standing.ahead_points <= standing.ahead_high
        assert standing.ahead_points == pytest.approx(100 * (standing.score - scores["accuracy"]))
    assert "The same student fine-tuned without a teacher has accuracy" in said
    assert not list(bundle.folder.parent.glob(".*.training"))


def test_multilabel(multilabel_csv: Path, teacher: Teacher, distill: Distill) -> None:
    taught_by = teacher(multilabel_csv, label="labels", label_separator="|")
    bundle = distill(taught_by, multilabel_csv, objective="soft=1")  # the columns are those of the teacher
    assert bundle.manifest.source.columns["label_separator"] == "|"
    taught = bundle.manifest.training["distillation"]
    assert bundle.manifest.scores["test"]["micro_f1"] > 0.6
    assert taught["retention"].keys() == {"dev", "test"}


def test_regress(regress_csv: Path, teacher: Teacher, distill: Distill, cache: Path) -> None:
    bundle = distill(teacher(regress_csv, batch=8), regress_csv, objective="soft=1", batch=8)
    (kept,) = (cache / "limbeck" / "kept").glob("answers-*")
    answers = np.load(kept)
    assert answers.dtype == np.float16
    assert answers.shape == (128, 1)
    assert abs(float(answers.astype(np.float32).mean())) < 1  # standard scores, though marks are around 5.5
    metric = bundle.manifest.task.metric
    assert bundle.manifest.scores["test"][metric] > 0.6
    assert bundle.manifest.scores["test"]["mae"] < 1.5  # in the unit of the labels


def test_tag(tag_jsonl: Path, teacher: Teacher, distill: Distill) -> None:
    bundle = distill(teacher(tag_jsonl, batch=8), tag_jsonl, objective="soft=1", batch=8)
    assert bundle.manifest.scores["test"]["entity_f1"] > 0.5


def test_answer(squad_json: Path, teacher: Teacher, distill: Distill) -> None:
    bundle = distill(teacher(squad_json, batch=8), squad_json, objective="soft=1,logits=0.1", batch=8)
    taught = bundle.manifest.training["distillation"]
    metric = bundle.manifest.task.metric
    assert bundle.manifest.scores["test"][metric] > 0.5
    assert taught["teacher_scores"]["test"][metric] > 0.5


def test_embed(pair_csv: Path, teacher: Teacher, distill: Distill) -> None:
    learnt_by = teacher(pair_csv, task="embed", label="", epochs=1)
    bundle = distill(learnt_by, pair_csv, label="", objective="soft=1,hard=0.1,samples=1", epochs=2)
    assert bundle.manifest.task.metric == "recall_at_1"
    evaluations = bundle.manifest.training["fit"]["evaluations"]
    assert evaluations[-1]["loss"] < evaluations[0]["loss"]
    with pytest.raises(UsageError, match="soft needs a student as wide as its teacher"):
        distill(learnt_by, pair_csv, "narrow", label="", student="1x16")


def test_a_narrower_student_begins_as_its_teacher(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"student": "2x28", "epochs": 1, "learning_rate": 1e-9}
    narrowed, random = (
        distill(classify_bundle, reviews_csv, start or "usual", start=start, **settings) for start in (None, "random")
    )
    taught = narrowed.manifest.training["distillation"]
    assert (taught["start"], taught["started_from"]) == ("svd", [0, 1])
    assert 0.5 < taught["states_kept"] < 1
    kept = f"{100 * taught['states_kept']:.1f} %"
    assert f"layers 0, 1 of the teacher, narrowed to {kept} of their hidden states" in capsys.readouterr().err
    accuracies = [bundle.manifest.scores["test"]["accuracy"] for bundle in (narrowed, random)]
    assert accuracies[0] > max(0.8, accuracies[1])  # nothing was learnt


def test_a_student_that_begins_at_random_says_why(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, capsys: pytest.CaptureFixture[str]
) -> None:
    distill(classify_bundle, reviews_csv, student="1x48", epochs=1)
    wider = "random weights, for it cannot be made of its teacher: the student is 48 wide, and its teacher 32"
    assert wider in capsys.readouterr().err


def test_a_student_of_a_base(tiny_base: Path, classify_bundle: Path, reviews_csv: Path, distill: Distill) -> None:
    config = BertConfig.from_pretrained(tiny_base, hidden_size=16, num_hidden_layers=3, num_attention_heads=2)
    base = tiny_base.parent / "narrow"
    shutil.copytree(tiny_base, base, dirs_exist_ok=True)
    BertModel(config).save_pretrained(base)
    bundle = distill(classify_bundle, reviews_csv, student=None, start=str(base), epochs=1)
    taught = bundle.manifest.training["distillation"]
    assert (taught["start"], taught["started_from"]) == (str(base), [])
    assert taught["objective"] == {"soft": 0.5, "hard": 0.5}  # what is inside need not be comparable
    assert taught["shape"] == "3 layers x 16, 2 heads, feed-forward 64"
    assert bundle.manifest.model.base == str(base)
    settings = {"start": str(base), "epochs": 1}
    assert distill(classify_bundle, reviews_csv, "said", student="3x16", **settings).manifest.scores
    with pytest.raises(UsageError, match=r"--student 2x16: a base is taken whole, and .* has 3 layers x 16, 2 heads"):
        distill(classify_bundle, reviews_csv, "other", student="2x16", **settings)
    with pytest.raises(UsageError, match="the student has 3 layers, and its teacher 2: expected pairs written out"):
        distill(classify_bundle, reviews_csv, "other", student=None, objective="hidden=1", **settings)


@pytest.fixture
def other_base(reviews_csv: Path, tmp_path: Path) -> str:
    """A RoBERTa: of another family, with a tokenizer of another kind."""
    return str(make_base("roberta", reviews_csv.read_text("utf-8").splitlines(), tmp_path / "base"))


def test_a_student_with_a_tokenizer_of_its_own(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, other_base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"student": None, "start": other_base, "epochs": 12, "batch": 8, "learning_rate": 2e-3}
    bundle = distill(classify_bundle, reviews_csv, objective="soft=1", compare=True, **settings)
    said = capsys.readouterr().err
    assert "the student reads by its own tokenizer of " in said
    assert "who cuts 0 of 160 training rows at " in said
    assert bundle.manifest.training["distillation"]["own_tokenizer"] is True
    assert bundle.manifest.scores["test"]["accuracy"] > 0.8  # learnt from the teacher's answers alone, to the same rows
    assert (
        AutoTokenizer.from_pretrained(bundle.folder).get_vocab()
        == AutoTokenizer.from_pretrained(other_base).get_vocab()
    )
    assert bundle.manifest.model.max_tokens != read_bundle(classify_bundle).manifest.model.max_tokens
    limbeck.compress(bundle.folder, max_drop=100.0, threads=1)
    texts, labels = zip(*csv.reader(reviews_csv.read_text("utf-8").splitlines()[1:]), strict=True)
    answers = limbeck.load(bundle.folder, threads=1).predict(texts)
    assert sum(answer.label == label for answer, label in zip(answers, labels, strict=True)) > 180  # type: ignore[union-attr]
    report(bundle.folder)
    assert "reads by a tokenizer of its own" in (bundle.folder / "report.html").read_text("utf-8")


def test_a_tokenizer_of_its_own_cut_and_rows_without_labels(
    pair_csv: Path, teacher: Teacher, distill: Distill, other_base: str, tmp_path: Path
) -> None:
    taught_by = teacher(pair_csv)
    (tmp_path / "more.csv").write_text("sentence1,sentence2\nthe film was good,a new book\nit was dull,an old story\n")
    bundle = distill(
        *(taught_by, pair_csv),
        student=None,
        start=other_base,
        trim_vocabulary=True,
        unlabelled=[str(tmp_path / "more.csv")],
        epochs=1,
    )
    taught = bundle.manifest.training["distillation"]
    assert taught["vocabulary"]["tokens"] < taught["vocabulary"]["before"]
    assert taught["unlabelled_rows"] == 2


@pytest.mark.parametrize(
    ("data", "named"), [("multilabel_csv", {"label": "labels", "label_separator": "|"}), ("regress_csv", {})]
)
def test_a_tokenizer_of_its_own_for_other_tasks_and_several_teachers(
    data: str,
    named: dict[str, str],
    teacher: Teacher,
    distill: Distill,
    other_base: str,
    request: pytest.FixtureRequest,
) -> None:
    path = request.getfixturevalue(data)
    first = teacher(path, batch=8, **named)
    settings = {"student": None, "start": other_base, "batch": 8, "learning_rate": 1e-3, "epochs": 6}
    bundle = distill(first, path, objective="soft=1", with_teacher=[first], **settings)
    losses = [evaluation["loss"] for evaluation in bundle.manifest.training["fit"]["evaluations"]]
    assert losses[-1] < 0.7 * losses[0]


def test_vectors_are_learnt_by_a_tokenizer_of_its_own(
    pair_csv: Path, teacher: Teacher, distill: Distill, other_base: str
) -> None:
    taught_by = teacher(pair_csv, task="embed", label="", epochs=1)
    settings = {"student": None, "start": other_base, "objective": "contrastive=1", "epochs": 8, "patience": 8}
    bundle = distill(taught_by, pair_csv, label="", **settings)
    losses = [evaluation["loss"] for evaluation in bundle.manifest.training["fit"]["evaluations"]]
    assert losses[-1] < 3.5 < 4 < losses[0]  # ln 64 where nothing is learnt, of 32 pairs


@pytest.mark.parametrize("objective", ["hidden=1,soft=1", "minilmv2"])
def test_states_of_other_tokens_are_not_compared(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, other_base: str, objective: str
) -> None:
    with pytest.raises(
        UsageError, match=r"has another vocabulary than .* 162 tokens, .* differ.*states of equal token"
    ):
        distill(classify_bundle, reviews_csv, student=None, start=other_base, objective=objective)


def test_what_is_answered_token_by_token_needs_equal_tokens(
    tag_jsonl: Path, teacher: Teacher, distill: Distill, other_base: str
) -> None:
    with pytest.raises(UsageError, match="the task tag answers token by token"):
        distill(teacher(tag_jsonl, epochs=1), tag_jsonl, student=None, start=other_base)


def test_several_teachers(
    reviews_csv: Path, teacher: Teacher, distill: Distill, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("one", "two")
    first, second = (teacher(reviews_csv, out=name, seed=seed, batch=8) for seed, name in enumerate(names))
    distill(first, reviews_csv, "alone", objective="soft=1")
    settings = {"objective": "soft=1,logits=0.1,hidden=0.1", "with_teacher": [second]}
    bundle = distill(first, reviews_csv, **settings)
    taught = bundle.manifest.training["distillation"]
    assert [there for _, there in taught["layer_map"]] == taught["started_from"] == [0]
    assert len(list((cache / "limbeck" / "kept").glob("answers-*"))) == 2  # the first teacher's were there
    scores = {name: read_bundle(folder).manifest.scores for name, folder in (("1", first), ("2", second))}
    assert taught["with_teachers"] == {str(second): scores["2"]}
    assert taught["teacher_parameters"] == 2 * read_bundle(first).manifest.model.parameters
    assert bundle.manifest.scores["test"]["accuracy"] > 0.8
    said = capsys.readouterr().err
    each = f"accuracy on test: {first} {scores['1']['test']['accuracy']:.4f}, {second} "
    assert f"{each}{scores['2']['test']['accuracy']:.4f}; the mean of their probabilities" in said
    assert f"hidden: learnt from {first} alone" in said


@pytest.mark.parametrize("kind", ["multilabel", "regress", "tag", "answer"])
def test_several_teachers_of_every_task(
    kind: str, teacher: Teacher, distill: Distill, request: pytest.FixtureRequest
) -> None:
    data = {"multilabel": "multilabel_csv", "regress": "regress_csv", "tag": "tag_jsonl", "answer": "squad_json"}[kind]
    path = request.getfixturevalue(data)
    named = {"label": "labels", "label_separator": "|"} if kind == "multilabel" else {}
    first = teacher(path, epochs=2, batch=16, **named)
    taught = [
        distill(first, path, out, with_teacher=others, objective="soft=1", epochs=1, batch=16)
        for out, others in (("one", []), ("twice", [first]))
    ]
    # One and the same teacher twice has the mean that it has once.
    one, twice = (bundle.manifest for bundle in taught)
    assert twice.scores["test"] == pytest.approx(one.scores["test"], abs=1e-3)
    metric = one.task.metric
    before, now = (m.training["distillation"]["teacher_scores"]["test"][metric] for m in (one, twice))
    assert now == pytest.approx(before, abs=1e-3)


def test_teachers_that_differ(
    classify_bundle: Path, reviews_csv: Path, multilabel_csv: Path, teacher: Teacher, distill: Distill, tmp_path: Path
) -> None:
    other = teacher(multilabel_csv, label="labels", label_separator="|", out="multilabel", epochs=1)
    with pytest.raises(UsageError, match="expected the task classify, and it has multilabel"):
        distill(classify_bundle, reviews_csv, with_teacher=[other])
    (tmp_path / "other.csv").write_text(reviews_csv.read_text("utf-8").replace("negative", "bad"), "utf-8")
    base = make_base("bert", ["some film"], tmp_path / "base")
    other = teacher(tmp_path / "other.csv", base=str(base), out="other", epochs=1)
    with pytest.raises(UsageError, match="it differs in 'bad', 'negative'; expected the same tokenizer"):
        distill(classify_bundle, reviews_csv, with_teacher=[other])
    with pytest.raises(UsageError, match=r"--with-teacher .*: has no meaning without one of soft, logits"):
        distill(classify_bundle, reviews_csv, with_teacher=[classify_bundle], objective="hidden=1")


def test_embedders_have_no_mean(pair_csv: Path, teacher: Teacher, distill: Distill) -> None:
    learnt_by = teacher(pair_csv, task="embed", label="", epochs=1)
    with pytest.raises(UsageError, match="vectors of several embedders have no mean"):
        distill(learnt_by, pair_csv, label="", objective="soft=1", with_teacher=[learnt_by])


def test_a_compiled_variant_teaches(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = distill(classify_bundle, reviews_csv, teacher_variant="onnx-int8")
    assert bundle.manifest.training["distillation"]["objective"] == {"soft": 0.5, "hard": 0.5}
    (kept,) = (cache / "limbeck" / "kept").glob("answers-*")
    assert f"answers of {classify_bundle} (onnx-int8) to the training rows" in capsys.readouterr().err
    splits = load_splits(str(reviews_csv), Columns(), task="classify")
    rows = Tokenizer(classify_bundle / "tokenizer.json").encode(splits.train.texts, max_tokens=64)
    int8, fp32 = (
        compute_logits(OnnxRuntimeEngine(classify_bundle / file).run, rows, pad_id=0, max_tokens=64)
        for file in ("onnx/model_quantized.onnx", "onnx/model.onnx")
    )
    np.testing.assert_array_equal(np.load(kept), int8.astype(np.float16))
    assert (np.load(kept) != fp32.astype(np.float16)).any()
    taught = bundle.manifest.training["distillation"]
    assert taught["teacher_variant"] == "onnx-int8"
    certificate = read_bundle(classify_bundle).variant("onnx-int8").certificate
    assert certificate is not None
    assert taught["teacher_scores"]["test"]["accuracy"] == pytest.approx(certificate.value)
    distill(classify_bundle, reviews_csv, "exact", objective="soft=1,hard=1")
    assert len(list(kept.parent.iterdir())) == 2  # its answers are not those of the weights


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_a_vocabulary_that_is_cut(
    family: str, reviews_csv: Path, teacher: Teacher, distill: Distill, tmp_path: Path, cache: Path
) -> None:
    lines = reviews_csv.read_text("utf-8").splitlines()[1:]
    texts = [*["zebras quiz jovial kings"] * 60, *(line.rpartition(",")[0] for line in lines)]
    taught_by = teacher(reviews_csv, base=str(make_base(family, texts, tmp_path / "base")), batch=40, epochs=1)
    (tmp_path / "bare.csv").write_text("text\n" + "\n".join(f"a quiz of {word} films" for word in "abcdefgh"))
    settings = {"objective": "soft=1,hidden=1", "student": "2x24", "batch": 40, "epochs": 1, "layers_first": 1}
    settings["unlabelled"] = [tmp_path / "bare.csv"]
    whole = distill(taught_by, reviews_csv, "whole", **settings)
    small = distill(taught_by, reviews_csv, "small", trim_vocabulary=True, compare=family == "roberta", **settings)
    # The same tokens with other numbers: training, and the answers kept of the teacher, are the same.
    assert len(list((cache / "limbeck" / "kept").glob("answers-*"))) == 1
    assert small.manifest.training["fit"]["evaluations"] == whole.manifest.training["fit"]["evaluations"]
    cut = small.manifest.training["distillation"]["vocabulary"]
    assert whole.manifest.training["distillation"]["vocabulary"] is None
    assert cut["parameters_saved"] == whole.manifest.model.parameters - small.manifest.model.parameters > 0
    assert cut["bytes_saved"] == 4 * cut["parameters_saved"]
    assert cut["tokens"] < cut["before"]
    assert cut["student"]["test"]["tokens"] >= cut["teacher"]["test"]["tokens"]
    assert cut["student"]["dev"].keys() == cut["teacher"]["dev"].keys() == {"unknown", "tokens"}
    ours = Tokenizer(small.tokenizer_file)
    assert ours.vocabulary_size == cut["tokens"] == json.loads((small.folder / "config.json").read_text())["vocab_size"]
    plain = AutoTokenizer.from_pretrained(small.folder)
    for text in ("the film was lovely", "zebras waltz"):
        (read,) = ours.encode([text], max_tokens=64)
        assert plain(text)["input_ids"] == read.input_ids.tolist()
    if family == "bert":
        limbeck.compress(small.folder, max_drop=100.0, threads=1)
        assert limbeck.verify(small.folder, threads=1).holds


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("student", ["L1", "1x16"])
def test_every_preset_takes_its_steps(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, preset: str, student: str
) -> None:
    settings = {"objective": preset, "student": student, "epochs": 1, "batch": 80}
    if preset == "distilbert" and student == "1x16":
        with pytest.raises(UsageError, match="directions needs a student as wide as its teacher, 32, and it is 16"):
            distill(classify_bundle, reviews_csv, **settings)
        return
    bundle = distill(classify_bundle, reviews_csv, **settings)
    assert bundle.manifest.training["fit"]["steps"] == 2
    assert bundle.manifest.training["distillation"]["objective"] == PRESETS[preset]


def test_a_stopped_run_ends_with_the_weights_of_an_unbroken_one(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "objective": "soft=1,hidden=1,embeddings=1,attention=1,samples=1",
        "student": "1x16",
        "epochs": 2,
        "dropout": 0.3,
        "checkpoint_seconds": 0.0,
    }
    whole = distill(classify_bundle, reviews_csv, "whole", **settings)

    def stop(progress: Progress) -> None:
        if progress.step == 7:
            raise Stopped

    def stopped_fit(*positional: Any, **named: Any) -> Any:
        return fit(*positional, **{**named, "on_step": stop})

    with monkeypatch.context() as patch:
        patch.setattr("limbeck.training.fine_tune.fit", stopped_fit)
        with pytest.raises(Stopped):
            distill(classify_bundle, reviews_csv, "broken", **settings)
    with monkeypatch.context() as patch:  # what the teacher answered is not computed again
        patch.setattr("limbeck.training.kept._fill", None)
        broken = distill(classify_bundle, reviews_csv, "broken", **settings)
    ours, theirs = (load_file(b.folder / "model.safetensors") for b in (broken, whole))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert broken.manifest.scores == whole.manifest.scores


def test_states_that_the_disk_has_no_room_for_are_computed_at_each_step(
    classify_bundle: Path,
    reviews_csv: Path,
    distill: Distill,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
        computed = distill(classify_bundle, reviews_csv, "computed", objective="relations=1", epochs=1)
    assert "more than half of what is free" in capsys.readouterr().err
    assert not (cache / "limbeck" / "kept").exists()
    kept = distill(classify_bundle, reviews_csv, "kept", objective="relations=1", epochs=1)
    assert len(list((cache / "limbeck" / "kept").glob("states-*"))) == 1
    losses = [b.manifest.training["fit"]["best"]["loss"] for b in (kept, computed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_done_already(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, capsys: pytest.CaptureFixture[str]
) -> None:
    first = distill(classify_bundle, reviews_csv, epochs=1)
    for overwrite in (False, True):
        assert distill(classify_bundle, reviews_csv, epochs=1, overwrite=overwrite) == read_bundle(first.folder)
        assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--temperature 2"):
        distill(classify_bundle, reviews_csv, epochs=1, temperature=3.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": "softly=1"}, "--objective 'softly=1': expected one of default, hinton"),
        ({"objective": "soft=1,soft=2"}, "each once"),
        ({"objective": "soft=0"}, "nothing has any weight"),
        ({"objective": "soft=1", "layer_map": "last"}, "--layer-map last: has no meaning without one of hidden"),
        ({"objective": "hidden=1", "layer_map": "0:2"}, "the teacher has no layer 2"),
        ({"student": "L3"}, "expected at most 2"),
        ({"teacher_variant": "onnx-int4"}, "has no variant 'onnx-int4'"),
        (
            {"teacher_variant": "onnx-int8", "objective": "minilm"},
            "a compiled variant gives answers alone, and the objective asks for distributions, values",
        ),
        ({"student": None}, "--student: expected a shape, as L3, 3x384 or pruned-2x; only with --start BASE"),
        ({"student": "1x16", "start": "layers"}, "--start layers: expected a student as wide as its teacher, 32"),
        ({"student": "1x24x8", "start": "svd"}, "--start svd: the student has 8 heads, and its teacher 4"),
        ({"temperature": 0.0}, "--temperature 0: expected 0.1 or more"),
        ({"layers_first": -1}, "--layers-first -1: expected 0 or more"),
        ({"general_epochs": 0}, "--general-epochs 0: expected 1 or more"),
        ({"objective": "attention=1", "student": "1x16x2"}, "compares head with head, and the student has 2, its"),
        ({"start": "svg"}, r"--start svg: did you mean svd\? Expected layers, svd, random, or a base"),
    ],
)
def test_arguments_without_meaning(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        distill(classify_bundle, reviews_csv, **arguments)


def test_objectives_that_cannot_be_compared_are_refused_before_anything_is_computed(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="patient needs a student as wide as its teacher, 32, and it is 16 wide"):
        distill(classify_bundle, reviews_csv, student="1x16", objective="soft=1,patient=1")
    assert "Tokenising" not in capsys.readouterr().err


@pytest.mark.parametrize("student", [None, "L3", "small"])
def test_a_shape_that_cannot_be_is_refused_before_anything_is_read(
    student: str | None, classify_bundle: Path, tmp_path: Path, distill: Distill
) -> None:
    with pytest.raises(UsageError, match="--student"):
        distill(classify_bundle, tmp_path / "is-not-there.csv", student=student)


def test_a_student_is_not_written_over_a_teacher(
    own_bundle: Path, classify_bundle: Path, reviews_csv: Path, tmp_path: Path, distill: Distill
) -> None:
    before = sha256_of(own_bundle / "model.safetensors")
    for arguments in ({"teacher": own_bundle}, {"teacher": classify_bundle, "with_teacher": [str(own_bundle)]}):
        with pytest.raises(UsageError, match=r"--out .*own: is the teacher's own folder; the student needs another"):
            distill(data=reviews_csv, out=f"../{tmp_path.name}/own", overwrite=True, **arguments)
    assert sha256_of(own_bundle / "model.safetensors") == before


def test_a_folder_that_another_command_made(
    own_bundle: Path, classify_bundle: Path, reviews_csv: Path, distill: Distill
) -> None:
    with pytest.raises(UsageError, match=r"own exists and was made by limbeck train or build: choose another --out"):
        distill(classify_bundle, reviews_csv, out="own")


def test_a_student_that_is_no_smaller(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, capsys: pytest.CaptureFixture[str]
) -> None:
    distill(classify_bundle, reviews_csv, student="L2", epochs=1)
    assert "100 % of its teacher's: it is NO SMALLER" in capsys.readouterr().err


def test_rows_of_another_kind(classify_bundle: Path, pair_csv: Path, tmp_path: Path, distill: Distill) -> None:
    rows = "".join(f"the film number {n} was it,{('fine', 'awful')[n % 2]}\n" for n in range(40))
    (tmp_path / "other.csv").write_text("text,label\n" + rows)
    with pytest.raises(DataError, match="labels that the teacher does not know, 'awful', 'fine'"):
        distill(classify_bundle, tmp_path / "other.csv")


def test_on_the_command_line(classify_bundle: Path, reviews_csv: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "small"
    words = ("--student", "L1", "--objective", "hidden=1,hard=1", "--epochs", 1, "--precision", "fp32", "--out", out)
    done = command("distill", classify_bundle, reviews_csv, *words)
    assert done.code == 0, done.err
    assert "layer of the student   learns from layer of the teacher" in done.err
    assert "next: limbeck compress" in done.out


def test_in_two_stages_with_the_layers_first(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    reviews = reviews_csv.read_text("utf-8").splitlines()[1:]
    text.write_text("\n\n".join(line.rpartition(",")[0] for line in reviews), "utf-8")
    settings = {"student": "1x16", "objective": "tinybert", "layers_first": 2, "general": str(text)}
    bundle = distill(classify_bundle, reviews_csv, **settings, start="random")
    said = capsys.readouterr().err
    stages = [said.index(name) for name in ("The general student …", "The layers first …", "Training …")]
    assert stages == sorted(stages)
    general = AutoModel.from_pretrained(tmp_path / "student-general")
    assert (general.config.num_hidden_layers, general.config.hidden_size) == (1, 16)
    assert bundle.manifest.training["distillation"]["start"] == str(tmp_path / "student-general")
    assert bundle.manifest.model.base == read_bundle(classify_bundle).manifest.model.base
    assert not [name for name in load_file(bundle.folder / "model.safetensors") if "projection" in name]
    with pytest.raises(UsageError, match="expected an --objective of both kinds"):
        distill(classify_bundle, reviews_csv, "other", objective="soft=1", layers_first=1)
    with pytest.raises(UsageError, match="is pretrained already"):
        distill(classify_bundle, reviews_csv, "other", **{**settings, "start": str(tmp_path)})
    with pytest.raises(UsageError, match="name some with --general"):
        distill(classify_bundle, reviews_csv, "other", general_objective="hidden=1")
    with pytest.raises(UsageError, match="--general-epochs 2: is for plain text"):
        distill(classify_bundle, reviews_csv, "other", general_epochs=2)


def test_plain_text_has_a_layer_map_and_counts_by_its_content(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, moved = tmp_path / "text.txt", tmp_path / "moved.txt"
    reviews = reviews_csv.read_text("utf-8").splitlines()[1:]
    text.write_text("\n\n".join(line.rpartition(",")[0] for line in reviews), "utf-8")
    settings = {"student": "1x16", "start": "random", "objective": "soft=1", "layer_map": "last", "epochs": 1}
    with pytest.raises(UsageError, match=r"--layer-map 0:2: .*the teacher has no layer 2"):
        distill(classify_bundle, reviews_csv, general=str(text), **{**settings, "layer_map": "0:2"})
    with pytest.raises(UsageError, match="--layer-map last: has no meaning"):
        distill(classify_bundle, reviews_csv, general=str(text), general_objective="embeddings=1", **settings)
    assert not list(tmp_path.glob("*student*"))
    first = distill(classify_bundle, reviews_csv, general=str(text), **settings)
    text.rename(moved)
    capsys.readouterr()
    assert distill(classify_bundle, reviews_csv, general=str(moved), **settings) == read_bundle(first.folder)
    moved.write_text(moved.read_text("utf-8") + "\n\nAnother film, as good as the last one.\n", "utf-8")
    with pytest.raises(UsageError, match="was made with --general"):
        distill(classify_bundle, reviews_csv, general=str(moved), **settings)


def test_a_teacher_is_the_same_whatever_it_is_compiled_for(classify_bundle: Path) -> None:
    bundle = read_bundle(classify_bundle)
    manifest = bundle.manifest
    compiled = msgspec.structs.replace(manifest.variants[0], name="openvino-fp32", file="openvino/model.xml")
    more = msgspec.structs.replace(
        manifest,
        variants=(*manifest.variants, compiled),
        files={**manifest.files, "openvino/model.xml": "a", "openvino/model.bin": "b"},
    )
    fewer = msgspec.structs.replace(
        manifest, variants=(), files={k: v for k, v in manifest.files.items() if not k.startswith("onnx/")}
    )
    whole, bare, compiled_for_openvino = (Bundle(bundle.folder, m) for m in (manifest, fewer, more))
    assert Answering(whole).sha256() == Answering(bare).sha256() == Answering(compiled_for_openvino).sha256()
    answering = Answering(compiled_for_openvino, compiled).sha256()
    other = msgspec.structs.replace(more, files={**more.files, "openvino/model.bin": "c"})
    assert answering not in (Answering(whole).sha256(), Answering(Bundle(bundle.folder, other), compiled).sha256())


def test_contrastive_teaches_vectors_of_another_width(pair_csv: Path, teacher: Teacher, distill: Distill) -> None:
    taught_by = teacher(pair_csv, task="embed", label="", epochs=1)
    settings = {"student": "1x16", "start": "random", "label": ""}
    bundle = distill(taught_by, pair_csv, objective="contrastive=1", **settings)
    losses = [evaluation["loss"] for evaluation in bundle.manifest.training["fit"]["evaluations"]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    with pytest.raises(UsageError, match="soft needs a student as wide as its teacher"):
        distill(taught_by, pair_csv, "other", objective="soft=1", **settings)


def test_contrastive_is_of_vectors_alone(classify_bundle: Path, reviews_csv: Path, distill: Distill) -> None:
    with pytest.raises(UsageError, match="contrastive compares vectors, and classify answers with none"):
        distill(classify_bundle, reviews_csv, objective="contrastive=1")
