from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

import limbeck
from limbeck.bundle import Bundle, read_bundle, read_manifest, write_manifest
from limbeck.errors import CheckFailed, LimbeckError, UsageError
from limbeck.report.worth import STUDENT, TEACHER, standings_of
from limbeck.show import show
from limbeck.tasks.results import Classification, MultiLabelling, Regression
from limbeck.training.loop import fit
from limbeck.training.place import Progress

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed", "one_thread")

FILES = {
    "README.md",
    "config.json",
    "limbeck.json",
    "model.safetensors",
    "onnx/model.onnx",
    "onnx/model_quantized.onnx",
    "report.html",
    "tokenizer.json",
    "tokenizer_config.json",
}
Build = Callable[..., Bundle]


@pytest.fixture
def build(reviews_csv: Path, fast: dict[str, Any]) -> Build:
    """What made `classify_bundle`, with the same arguments where no others are given."""

    def build_reviews(out: Path, **changes: Any) -> Bundle:
        return limbeck.build(str(reviews_csv), out=out, **{**fast, "epochs": 4, **changes})

    return build_reviews


def never(*_: object, **__: object) -> None:
    raise AssertionError("a stage that was finished was run again")


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def without_variants(folder: Path) -> None:
    """Make a bundle what it was when it was trained and nothing more."""
    shutil.rmtree(folder / "onnx")
    manifest = read_manifest(folder)
    arguments = {"train": manifest.arguments["train"]}
    write_manifest(folder, msgspec.structs.replace(manifest, variants=(), refused=(), chosen=None, arguments=arguments))


def test_what_a_bundle_holds(classify_bundle: Path) -> None:
    manifest = read_bundle(classify_bundle).manifest
    assert set(files_of(classify_bundle)) == FILES
    assert [path.name for path in classify_bundle.parent.iterdir()] == ["model"]  # nothing left beside it
    assert set(manifest.files) == FILES - {"limbeck.json", "report.html", "README.md"}
    assert manifest.task.labels == ("negative", "positive")
    assert [variant.name for variant in manifest.variants] == ["onnx-fp32", "onnx-int8"]
    assert manifest.chosen in ("onnx-fp32", "onnx-int8")
    assert manifest.source.rows == {"train": 160, "dev": 20, "test": 20}
    assert {"limbeck", "torch", "onnxruntime"} <= set(manifest.versions)
    for variant in manifest.variants:
        certificate = variant.certificate
        assert certificate is not None
        assert (certificate.variant, certificate.rows, certificate.holds) == (variant.name, 20, True)
        assert certificate.size_bytes == (classify_bundle / variant.file).stat().st_size


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("classify", "a fine film", Classification),
        ("multilabel", "a fine film", MultiLabelling),
        ("regress", "a fine film", Regression),
        ("pair", ("a fine film", "a dull one"), Classification),
    ],
)
def test_a_bundle_of_every_task_answers(
    request: pytest.FixtureRequest, kind: str, text: str | tuple[str, str], answer: type
) -> None:
    predictor = limbeck.load(request.getfixturevalue(f"{kind}_bundle"), threads=1)
    assert [type(result) for result in predictor.predict([text, text])] == [answer, answer]


def test_a_finished_build_is_not_repeated(
    own_bundle: Path, build: Build, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_bundle(own_bundle)
    monkeypatch.setattr("limbeck.recipes.train.fine_tune", never)
    monkeypatch.setattr("limbeck.recipes.build.compress", never)
    assert build(own_bundle) == before
    assert capsys.readouterr().err.count("nothing to do") == 2


def test_a_build_without_its_variants_compiles_and_does_not_train(
    own_bundle: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = (own_bundle / "model.safetensors").read_bytes()
    without_variants(own_bundle)
    monkeypatch.setattr("limbeck.recipes.train.fine_tune", never)
    bundle = build(own_bundle)
    assert [variant.name for variant in bundle.manifest.variants] == ["onnx-fp32", "onnx-int8"]
    assert (own_bundle / "model.safetensors").read_bytes() == weights


def test_another_budget_compiles_anew_and_does_not_train(
    own_bundle: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.train.fine_tune", never)
    bundle = build(own_bundle, max_drop=50.0)
    certificates = [variant.certificate for variant in bundle.manifest.variants]
    assert [c.max_drop_points for c in certificates if c] == [50.0, 50.0]


@pytest.mark.parametrize("stage", ["compress", "report"])
def test_a_build_stopped_between_stages_goes_on_there(
    own_bundle: Path, build: Build, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    without_variants(own_bundle)
    monkeypatch.setattr("limbeck.recipes.train.fine_tune", never)
    with monkeypatch.context() as patch:
        patch.setattr(f"limbeck.recipes.build.{stage}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(own_bundle)
    read_bundle(own_bundle)  # whole, whatever was stopped
    if stage == "report":
        monkeypatch.setattr("limbeck.recipes.build.compress", never)
    assert build(own_bundle).manifest.chosen is not None
    assert [path.name for path in own_bundle.parent.iterdir()] == ["own"]


def test_a_build_stopped_while_compiling_leaves_a_bundle_that_can_be_compiled(
    own_bundle: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_variants(own_bundle)
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.recipes.compressing.onnx_variants.quantize_int8", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(own_bundle)
    assert read_bundle(own_bundle).manifest.variants == ()
    assert build(own_bundle).manifest.chosen is not None
    assert set(files_of(own_bundle)) == FILES


def test_a_build_repairs_damaged_variants_and_does_not_train(
    own_bundle: Path, build: Build, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_bundle / "onnx/model.onnx").write_bytes(b"half")
    monkeypatch.setattr("limbeck.recipes.train.fine_tune", never)
    assert build(own_bundle) == read_bundle(own_bundle)
    assert "compiled anew: " in capsys.readouterr().err


def test_a_build_of_which_nothing_holds_writes_its_report(own_bundle: Path, build: Build) -> None:
    (own_bundle / "report.html").unlink()
    with pytest.raises(CheckFailed, match="not even fp32 ONNX"):
        build(own_bundle, max_drop=-1.0)
    assert "REFUSED" in (own_bundle / "report.html").read_text("utf-8").upper()


def test_everybody_may_read_what_was_written(own_bundle: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in own_bundle.rglob("*") if path.is_file()}
    assert set(modes.values()) == {0o644}, modes


def test_a_constant_answer_stands_beside_the_scores(
    tmp_path: Path, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    build(tmp_path / "good")
    said = capsys.readouterr().err
    assert "always answering 'negative' would have accuracy 0.5" in said
    assert "NO BETTER" not in said
    build(tmp_path / "bad", epochs=1, learning_rate=1e-9, max_drop=100.0)
    assert "the model is NO BETTER than that" in capsys.readouterr().err


def test_a_label_that_is_never_judged_is_named(
    reviews_csv: Path, fast: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "rare.csv"
    data.write_text(reviews_csv.read_text("utf-8") + "neither here nor there,neither\n", "utf-8")
    arguments = {k: v for k, v in fast.items() if k not in ("threads", "max_drop")} | {"epochs": 1}
    limbeck.train(str(data), out=tmp_path / "model", **arguments)
    assert "no test row has 'neither': how well that is answered" in capsys.readouterr().err


def test_other_arguments_need_overwrite(own_bundle: Path, build: Build) -> None:
    before = files_of(own_bundle)
    with pytest.raises(UsageError) as caught:
        build(own_bundle, epochs=5)
    assert "was made with --epochs 4: choose" in str(caught.value)
    assert "choose another --out, or replace it with --overwrite" in str(caught.value)
    assert files_of(own_bundle) == before
    assert [path.name for path in own_bundle.parent.iterdir()] == ["own"]


def test_overwrite_replaces_all_of_the_bundle(own_bundle: Path, build: Build) -> None:
    (own_bundle / "stale.txt").write_text("of the bundle before")
    bundle = build(own_bundle, epochs=1, overwrite=True)
    assert bundle.manifest.arguments["train"]["epochs"] == 1
    assert set(files_of(own_bundle)) == FILES
    assert [path.name for path in own_bundle.parent.iterdir()] == ["own"]


def test_a_bundle_made_with_these_arguments_is_not_made_again_for_overwrite(
    own_bundle: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (own_bundle / "model.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.recipes.train.fine_tune", never)
        build(own_bundle, overwrite=True)
    (own_bundle / "model.safetensors").write_bytes(b"damaged")
    build(own_bundle, overwrite=True)
    assert (own_bundle / "model.safetensors").read_bytes() == before


def test_a_base_that_became_another_is_another(
    reviews_csv: Path, fast: dict[str, Any], tiny_base: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    arguments = {k: v for k, v in fast.items() if k not in ("threads", "max_drop")} | {"base": str(base), "epochs": 1}
    limbeck.train(str(reviews_csv), out=tmp_path / "model", **arguments)
    weights = load_file(base / "model.safetensors")
    save_file({name: tensor * 1.01 for name, tensor in weights.items()}, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match="was made with other rows, another base, or other versions"):
        limbeck.train(str(reviews_csv), out=tmp_path / "model", **arguments)


def stopped_after(step: int, seen: list[int]) -> Callable[..., Any]:
    """`fit`, which notes the steps it takes and is interrupted after `step`."""

    def fit_until(*arguments: Any, on_step: Callable[[Progress], None], **others: Any) -> Any:
        def on_each(progress: Progress) -> None:
            on_step(progress)
            seen.append(progress.step)
            if progress.step == step:
                raise KeyboardInterrupt

        return fit(*arguments, on_step=on_each, **others)

    return fit_until


def test_an_interrupted_training_goes_on_to_the_same_weights(
    classify_bundle: Path,
    reviews_csv: Path,
    fast: dict[str, Any],
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "model"
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**fast, "epochs": 4}.items()]
    words = ["build", reviews_csv, "--out", out, *flags, "--checkpoint-seconds=0"]

    seen: list[int] = []
    monkeypatch.setattr("limbeck.training.fine_tune.fit", stopped_after(7, seen))
    stopped = command(*words)
    assert stopped.code == 130
    assert "the same command goes on from its last save" in stopped.err
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == [".model.training"]

    monkeypatch.setattr("limbeck.training.fine_tune.fit", stopped_after(-1, seen))
    assert command(*words).code == 0
    assert seen == [*range(1, 8), *range(8, 21)]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    unbroken = (classify_bundle / "model.safetensors").read_bytes()
    assert (out / "model.safetensors").read_bytes() == unbroken
    told = [limbeck.load(folder, threads=1).predict(["a fine film"]) for folder in (out, classify_bundle)]
    assert told[0] == told[1]


@pytest.mark.parametrize(("train_last", "rate"), [(None, 1e-4), (1, 2e-4)])
def test_the_last_layers_alone_learn_at_a_higher_rate(
    train_last: int | None,
    rate: float,
    reviews_csv: Path,
    fast: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = {k: v for k, v in fast.items() if k not in ("threads", "max_drop", "learning_rate", "epochs")}
    bundle = limbeck.train(str(reviews_csv), out=tmp_path / "model", train_last=train_last, epochs=1, **arguments)
    assert bundle.manifest.training["plan"]["learning_rate"] == rate


def test_what_frozen_layers_give_is_computed_once(
    reviews_csv: Path,
    fast: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def train(name: str, **changes: Any) -> dict[str, torch.Tensor]:
        arguments = {k: v for k, v in fast.items() if k not in ("threads", "max_drop")} | {"train_last": 1} | changes
        return load_file(limbeck.train(str(reviews_csv), out=tmp_path / name, **arguments).folder / "model.safetensors")

    first = train("first")
    assert len(list((tmp_path / "cache" / "limbeck" / "kept").glob("frozen-*"))) == 1
    assert "above 1 frozen layers" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.training.kept._fill", never)
        again, moved = train("again"), train("moved", adversarial="fgm")
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    base = load_file(Path(fast["base"]) / "model.safetensors")
    for name in (name for name in base if "layer.0." in name or "embeddings" in name):
        assert torch.equal(first[f"bert.{name}"], base[name])
        assert torch.equal(moved[f"bert.{name}"], base[name])


def test_labels_begin_as_frequent_as_they_are(
    multilabel_csv: Path, fast: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = multilabel_csv.read_text("utf-8").splitlines()
    data = tmp_path / "uneven.csv"
    data.write_text("\n".join([rows[0], *(row for row in rows[1:] if "bad" in row), *rows[1:]]), encoding="utf-8")
    arguments = {k: v for k, v in fast.items() if k not in ("threads", "max_drop")} | {"learning_rate": 1e-9}

    def bias(name: str, **said: Any) -> list[float]:
        bundle = limbeck.train(str(data), out=tmp_path / name, label="labels", label_separator="|", **arguments, **said)
        counts, rows = bundle.manifest.training["label_counts"], bundle.manifest.source.rows["train"]
        wanted = {label: math.log((count + 1) / (rows - count + 1)) for label, count in counts.items()}
        found = load_file(bundle.folder / "model.safetensors")["classifier.bias"].tolist()
        return [found[i] - wanted[label] for i, label in enumerate(bundle.manifest.task.labels)]

    assert bias("model") == pytest.approx([0, 0], abs=1e-4)
    assert bias("balanced", balance_labels=True) != pytest.approx([0, 0], abs=0.1)


def test_a_build_with_a_student_trains_its_teacher_first_and_goes_on_after_a_stop(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("limbeck.training.processes.usable_cpus", lambda: 1)
    more = tmp_path / "more.csv"
    more.write_text("text\na film that nobody has seen\nanother one of them\n", encoding="utf-8")
    arguments = {"distill": "L1", "objective": "soft=1", "unlabelled": [str(more)], "max_drop": 50.0}
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.recipes.build.report", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "small", **arguments)
    monkeypatch.setattr("limbeck.recipes.build.compress", never)
    bundle = build(tmp_path / "small", **arguments)
    teacher = read_bundle(tmp_path / "small-teacher").manifest
    taught = bundle.manifest.training["distillation"]
    assert taught["objective"] == {"soft": 1.0}
    assert taught["unlabelled_rows"] == 2
    assert taught["teacher"] == str(tmp_path / "small-teacher")
    assert bundle.manifest.model.parameters < teacher.model.parameters
    assert bundle.manifest.training["plan"]["learning_rate"] == teacher.training["plan"]["learning_rate"]
    found = {standing.name: standing for standing in standings_of(bundle.manifest)}
    assert found[TEACHER].compiled.keys() == found[STUDENT].compiled.keys() == {"fp32", "int8"}
    assert "5/5 Report" in capsys.readouterr().err
    show(bundle, as_json=False)
    said = capsys.readouterr().out
    assert "rows prove little either way" in said
    assert "of its teacher's accuracy" in said
    assert "Was it worth it?" in (bundle.folder / "report.html").read_text("utf-8")


def test_what_is_wrong_with_a_student_is_said_before_its_teacher_is_trained(build: Build, tmp_path: Path) -> None:
    for arguments, message in (
        ({"distill": "L7"}, "--distill L7: 7 layers, expected at most 2"),
        ({"distill": "small"}, "--distill 'small': expected tinybert-4"),
        ({"distill": "pruned-1x"}, "--distill pruned-1x: expected a speed-up above 1"),
        ({"distill": "L1", "objective": "sofa"}, "--objective 'sofa'"),
        ({"objective": "hinton"}, "name its shape with --distill"),
        ({"unlabelled": ["more.csv"]}, "--unlabelled: .* name its shape with --distill"),
        ({"distill": "L1", "unlabelled": ["nowhere.csv"]}, "nowhere.csv"),
    ):
        with pytest.raises(LimbeckError, match=message):
            build(tmp_path / "small", **arguments)
    assert not list(tmp_path.glob("small*"))
