"""Students that are their teacher with heads and units removed, end to end, on tiny models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

import limbeck
from limbeck.bundle import Bundle, read_bundle
from limbeck.errors import BaseModelError, UsageError
from limbeck.nn.model import load_model
from limbeck.nn.pruned import prunable_layers
from limbeck.recipes.report import report
from limbeck.report.worth import ALONE, BASELINE, STUDENT, TEACHER, standings_of

if TYPE_CHECKING:
    from bundles import Distill

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed", "one_thread")


@pytest.fixture
def distill(distill: Distill) -> Distill:
    def run(teacher: Path, data: Path, student: str | None = "pruned-2x", out: str = "student", **said: Any) -> Bundle:
        return distill(teacher, data, out, student=student, **said)

    return run


def test_a_pruned_student_is_a_bundle_like_any_other(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, capsys: pytest.CaptureFixture[str]
) -> None:
    # With labels: the teacher is not sure of all that is asked below.
    bundle = distill(classify_bundle, reviews_csv, compare=True, objective="soft=0.5,hard=0.5")
    said = capsys.readouterr().err
    assert "pruned: 2 of 4 heads and " in said
    pruned = bundle.manifest.training["distillation"]["pruned"]
    assert (pruned["target_speedup"], pruned["heads"]) == (2.0, [2, 4])
    assert pruned["estimated_speedup"] >= 2.0
    assert f"{pruned['estimated_speedup']:.2f} times fewer operations at {pruned['tokens']} tokens" in said
    assert f"measured {pruned['measured_speedup']:.2f} times as fast" in said
    assert [len(heads) for heads in pruned["kept_heads"]] == [2, 2]

    config = json.loads((bundle.folder / "config.json").read_text("utf-8"))
    assert (config["num_attention_heads"], config["intermediate_size"]) == (4, pruned["units"][0])
    gone = {str(i): [h for h in range(4) if h not in kept] for i, kept in enumerate(pruned["kept_heads"])}
    assert config["pruned_heads"] == gone
    model = load_model(bundle.folder, bundle.manifest.task, pooling="pooler")
    assert [layer.output.in_features for layer in prunable_layers(model.encoder)] == [16, 16]
    parameters = sum(tensor.numel() for tensor in load_file(bundle.folder / "model.safetensors").values())
    assert bundle.manifest.model.parameters == parameters

    found = {s.name: s for s in standings_of(bundle.manifest)}
    assert list(found) == [TEACHER, STUDENT, ALONE, BASELINE]
    assert found[ALONE].parameters == found[STUDENT].parameters == parameters < found[TEACHER].parameters
    assert found[STUDENT].score > 0.8

    limbeck.compress(bundle.folder, max_drop=100.0, threads=1)
    compiled = read_bundle(bundle.folder).manifest.variants
    assert [variant.name for variant in compiled] == ["onnx-fp32", "onnx-int8"]
    assert (compiled[0].fused["Attention"], compiled[0].fused["MultiHeadAttention"]) == (1, 1)
    assert compiled[0].certificate is not None
    assert compiled[0].certificate.max_abs_logit < 1e-4
    assert compiled[0].certificate.changed == 0
    assert limbeck.verify(bundle.folder, threads=1).holds
    good, bad = limbeck.load(bundle.folder, threads=1).predict(["a lovely film", "a dreadful book"])
    assert (good.label, bad.label) == ("positive", "negative")  # type: ignore[union-attr]
    report(bundle.folder)
    assert "2 of 4 heads" in (bundle.folder / "report.html").read_text("utf-8")
    card = (bundle.folder / "README.md").read_text("utf-8")
    assert "Attention heads were removed, and transformers 5 cannot" in card
    assert "library_name: limbeck" in card
    assert "AutoModel" not in card


def test_the_same_again_and_more_of_it(classify_bundle: Path, reviews_csv: Path, distill: Distill) -> None:
    first, second = (distill(classify_bundle, reviews_csv, out=out, epochs=1) for out in ("one", "two"))
    ours, theirs = (load_file(b.folder / "model.safetensors") for b in (first, second))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    again = distill(first.folder, reviews_csv, "pruned-1.5x", out="three", epochs=1, compare=True)
    assert again.manifest.training["distillation"]["pruned"]["heads"] == [1, 2]
    assert again.manifest.model.parameters < first.manifest.model.parameters
    with pytest.raises(UsageError, match="heads of this teacher were removed"):
        distill(first.folder, reviews_csv, "L1", out="four")
    with pytest.raises(BaseModelError, match="attention heads were removed from it"):
        limbeck.train(str(reviews_csv), base=str(first.folder), out=first.folder.with_name("five"))


@pytest.mark.parametrize("objective", ["minilmv2", "hidden=1,directions=1,samples=1"])
def test_objectives_of_states(classify_bundle: Path, reviews_csv: Path, distill: Distill, objective: str) -> None:
    bundle = distill(classify_bundle, reviews_csv, epochs=1, objective=objective)
    evaluations = bundle.manifest.training["fit"]["evaluations"]
    assert evaluations[-1]["loss"] > 0


@pytest.mark.parametrize("task", ["tag", "answer", "embed", "multilabel", "regress"])
def test_every_task(
    task: str, tiny_base: Path, tmp_path: Path, distill: Distill, request: pytest.FixtureRequest
) -> None:
    rows: dict[str, tuple[str, dict[str, Any]]] = {
        "tag": ("tag_jsonl", {}),
        "answer": ("squad_json", {}),
        "embed": ("pair_csv", {"label": "", "task": "embed"}),
        "multilabel": ("multilabel_csv", {"label": "labels", "label_separator": "|"}),
        "regress": ("regress_csv", {}),
    }
    name, settings = rows[task]
    data = request.getfixturevalue(name)
    teacher = limbeck.train(
        str(data), out=tmp_path / "teacher", base=str(tiny_base), epochs=1, precision="fp32", batch=16, **settings
    )
    columns = {name: value for name, value in settings.items() if name != "task"}
    bundle = distill(teacher.folder, data, "pruned-1.5x", epochs=1, objective="soft=1", **columns)
    assert bundle.manifest.task.name == task
    assert bundle.manifest.training["distillation"]["pruned"]["heads"] == [3, 4]
    limbeck.compress(bundle.folder, max_drop=100.0, threads=1)
    fp32 = read_bundle(bundle.folder).manifest.variants[0].certificate
    assert fp32 is not None
    assert fp32.max_abs_logit < 1e-3


def test_a_target_is_a_pruned_student(classify_bundle: Path, reviews_csv: Path, distill: Distill) -> None:
    bundle = distill(classify_bundle, reviews_csv, None, target_speedup=1.5, epochs=1)
    assert bundle.manifest.arguments["distill"]["student"] == "pruned-1.5x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"student": "pruned"}, "expected how many times as fast, as pruned-2x"),
        ({"student": "pruned-1x"}, "expected a speed-up above 1"),
        ({"student": "pruned-90x"}, r"at most \d+\.\d times as fast at \d+ tokens"),
        ({"target_speedup": 2.0}, "--target-speedup 2: means a pruned teacher; leave --student pruned-2x out"),
        ({"student": None, "target_speedup": 0.5}, "--target-speedup 0.5: expected more than 1"),
        ({"start": "svd"}, "--start svd: --student pruned-2x begins as its teacher"),
        ({"general": "texts.txt"}, "--general texts.txt: --student pruned-2x begins as its teacher"),
        ({"objective": "attention=1"}, "compares head with head, and the student has 2, its teacher 4"),
    ],
)
def test_what_is_refused(
    classify_bundle: Path, reviews_csv: Path, distill: Distill, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        distill(classify_bundle, reviews_csv, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distill": "pruned-fast"}, "as pruned-2x"),
        ({"distill": "1x16", "objective": "distilbert"}, "directions needs a student as wide as its teacher, 32"),
        ({"distill": "L1", "objective": "hard=1", "unlabelled": ["more.txt"]}, "hard learns nothing"),
    ],
)
def test_build_says_what_is_wrong_before_it_trains_a_teacher(
    arguments: dict[str, Any], message: str, reviews_csv: Path, fast: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        limbeck.build(str(reviews_csv), out=tmp_path / "model", **arguments, **fast)
    assert not list(tmp_path.iterdir())
