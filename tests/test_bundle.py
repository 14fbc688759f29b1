from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from limbeck.bundle import FORMAT, MANIFEST, Bundle, Manifest, Model, Source, Variant, read_bundle, replace_variants
from limbeck.bundle import write_manifest as write
from limbeck.errors import BundleError, UsageError
from limbeck.measure import Certificate, Machine, Speed, Stability
from limbeck.tasks import AnyTask, Classify, MultiLabel, Regress

CERTIFICATE = Certificate(
    variant="onnx-int8",
    engine="onnxruntime",
    precision="int8",
    rows=20,
    data_sha256="ab" * 32,
    metric="accuracy",
    reference=0.9,
    value=0.85,
    drop_points=5.0,
    drop_low_points=1.0,
    drop_high_points=9.5,
    max_drop_points=0.5,
    holds=False,
    changed=1,
    worst=(),
    max_abs_logit=0.25,
    p99_abs_logit=0.2,
    stability=Stability(
        rows=20, batch_max_abs_logit=1e-6, batch_changed=0, padding_max_abs_logit=1e-6, padding_changed=0
    ),
    speed=Speed(rows_per_second=100.0, single_ms=5.0, single_p95_ms=6.0, rows=20),
    size_bytes=1234,
    machine=Machine(cpu="a CPU", instruction_sets=("avx2",), cpus=2.0, system="Linux x86_64", memory_bytes=1 << 33),
    created="2026-01-01T00:00:00Z",
    remedies=("one layer kept in fp32",),
)


def variant(name: str, **changes: Any) -> Variant:
    fields: dict[str, Any] = {
        "name": name,
        "engine": "onnxruntime",
        "precision": "fp32",
        "file": "onnx/model.onnx",
        "inputs": ("input_ids", "attention_mask"),
        "opset": 17,
        "fused": {"Attention": 2},
    }
    return Variant(**(fields | changes))


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "format": FORMAT,
        "limbeck": "0.1.0",
        "task": Classify(("bad", "good"), 1.5),
        "model": Model(
            base="tiny", pooling="mean", max_tokens=64, longest_input=128, pad_id=0, pair=False, parameters=1000
        ),
        "source": Source(path="reviews.csv", columns={"text": "text"}, sha256="cd" * 32, rows={"train": 10}),
        "arguments": {"epochs": 3, "base": "tiny", "learning_rate": 5e-5, "dev": None},
        "versions": {"torch": "2.13.0"},
        "training": {"steps": 3},
        "scores": {"dev": {"accuracy": 0.9}},
    }
    return Manifest(**(fields | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole bundle, for what a bundle checks: its files need not be models."""
    folder = tmp_path / "model"
    (folder / "onnx").mkdir(parents=True)
    (folder / ".cache").mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(1000))
    (folder / "onnx" / "model.onnx").write_bytes(b"graph" * 100)
    for unhashed in ("README.md", "report.html", ".gitattributes", ".cache/left.over"):
        (folder / unhashed).write_text("for people")
    write(folder, manifest(variants=(variant("onnx"),), chosen="onnx", refused=(CERTIFICATE,)))
    return folder


def test_a_bundle_is_read_as_it_was_written(folder: Path) -> None:
    bundle = read_bundle(str(folder))
    written = manifest(variants=(variant("onnx"),), chosen="onnx", refused=(CERTIFICATE,))
    assert bundle.manifest == msgspec.structs.replace(written, files=bundle.manifest.files)
    assert bundle.folder == folder
    assert bundle.tokenizer_file == folder / "tokenizer.json"
    assert list(bundle.manifest.files) == ["config.json", "model.safetensors", "onnx/model.onnx"]
    assert write(folder, bundle.manifest) == bundle.manifest


@pytest.mark.parametrize("task", [Classify(("a", "b"), 0.7), MultiLabel(("a", "b"), 2.0, (0.3, 0.6)), Regress()])
def test_every_task_is_kept_with_its_calibration(tmp_path: Path, task: AnyTask) -> None:
    write(tmp_path, manifest(task=task))
    assert read_bundle(tmp_path).manifest.task == task


def test_what_is_written_for_people_may_be_edited(folder: Path) -> None:
    (folder / "README.md").write_text("edited")
    (folder / "report.html").unlink()
    (folder / "notes.txt").write_text("added later")
    read_bundle(folder)


def test_the_files_of_a_variant() -> None:
    made = {"precision": "fp32", "inputs": (), "opset": 17, "fused": {}}
    assert Variant(name="a", engine="onnxruntime", file="onnx/model.onnx", **made).files == ("onnx/model.onnx",)
    both = ("openvino/model.xml", "openvino/model.bin")
    assert Variant(name="b", engine="openvino", file="openvino/model.xml", **made).files == both


def test_missing_and_damaged_files_are_all_named_at_once(folder: Path) -> None:
    (folder / "config.json").unlink()
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[500] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    graph = (folder / "onnx" / "model.onnx").read_bytes()
    (folder / "onnx" / "model.onnx").write_bytes(graph[:-1])
    with pytest.raises(BundleError) as raised:
        read_bundle(folder)
    message = str(raised.value)
    assert "files are missing: config.json;" in message
    assert "files were damaged or edited after they were written: model.safetensors, onnx/model.onnx" in message
    assert str(folder) in message


def test_variants_are_replaced_with_their_hashes(folder: Path, tmp_path: Path) -> None:
    built = tmp_path / "built"
    (built / "openvino").mkdir(parents=True)
    (built / "openvino/model.xml").write_text("graph")
    (built / "openvino/model.bin").write_bytes(b"weights")
    (built / "trial").write_text("not of a variant")
    (folder / "notes.txt").write_text("added later")
    new = manifest(variants=(variant("openvino", file="openvino/model.xml"),), chosen="openvino")
    written = replace_variants(read_bundle(folder), new, built)
    assert read_bundle(folder) == written
    assert written.manifest.chosen == "openvino"
    kept = ["config.json", "model.safetensors"]
    assert list(written.manifest.files) == [*kept, "openvino/model.bin", "openvino/model.xml"]
    assert not (folder / "onnx").exists()


def test_a_file_replaced_by_a_folder_is_missing(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    with pytest.raises(BundleError, match=r"missing: config\.json"):
        read_bundle(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"does not exist; expected a folder written by `limbeck build`"):
        read_bundle(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match=r"file is a file; expected a folder"):
        read_bundle(tmp_path / "file")


def test_folders_that_are_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=rf"no {MANIFEST}.*not a model folder"):
        read_bundle(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BundleError, match=rf"no {MANIFEST}.*a plain model folder"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("version", [FORMAT + 1, str(FORMAT), None])
def test_another_format_is_named_before_anything_else_is_read(folder: Path, version: object) -> None:
    (folder / MANIFEST).write_text(json.dumps({"format": version, "task": {"name": "summarise"}}))
    with pytest.raises(BundleError, match=f"format {version!r}, this limbeck reads format {FORMAT}"):
        read_bundle(folder)


def test_a_manifest_cut_short_at_any_byte_is_damaged(folder: Path) -> None:
    whole = (folder / MANIFEST).read_bytes()
    for length in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 2):
        (folder / MANIFEST).write_bytes(whole[:length])
        with pytest.raises(BundleError, match=r"limbeck\.json is damaged"):
            read_bundle(folder)


@pytest.mark.parametrize(
    "content", [b"null", b"[]", b'"text"', b'{"format": 1}', b"\xff\xfe{}", b'{"format": 1, "a": "\xff"}']
)
def test_a_manifest_of_another_shape_is_damaged(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=r"limbeck\.json is damaged"):
        read_bundle(folder)


def test_a_manifest_with_a_wrong_type_says_where(folder: Path) -> None:
    document = json.loads((folder / MANIFEST).read_text())
    document["model"]["max_tokens"] = "many"
    (folder / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(BundleError, match=r"\$\.model\.max_tokens"):
        read_bundle(folder)


def test_the_chosen_variant_or_the_one_named() -> None:
    bundle = Bundle(Path("model"), manifest(variants=(variant("onnx"), variant("onnx-int8")), chosen="onnx-int8"))
    assert bundle.variant().name == "onnx-int8"
    assert bundle.variant("onnx").name == "onnx"
    with pytest.raises(UsageError, match="no variant 'tensorrt': expected one of onnx, onnx-int8"):
        bundle.variant("tensorrt")


def test_no_variant_to_choose() -> None:
    with pytest.raises(UsageError, match="limbeck compress model"):
        Bundle(Path("model"), manifest()).variant()
    with pytest.raises(UsageError, match="none is chosen; name one of onnx with --variant"):
        Bundle(Path("model"), manifest(variants=(variant("onnx"),))).variant()


def test_reading_more_or_fewer_tokens() -> None:
    bundle = Bundle(Path("model"), manifest())
    assert bundle.reading(None) is bundle
    assert bundle.reading(16).manifest.model.max_tokens == 16
    assert bundle.manifest.model.max_tokens == 64
    assert bundle.reading(128).manifest.model.max_tokens == 128
    for refused in (7, 129, -1):
        with pytest.raises(UsageError, match=f"--max-tokens {refused}: expected 8 to 128"):
            bundle.reading(refused)
