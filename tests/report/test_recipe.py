from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from limbeck.bundle import write_manifest
from limbeck.recipes import report as recipe
from limbeck.recipes.report import report
from limbeck.tasks import Regress

from .made_up import classify, judged_of, manifest_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "reviews"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def test_without_the_training_data_the_report_is_written_and_says_so(folder: Path) -> None:
    manifest = manifest_of(classify())
    source = msgspec.structs.replace(manifest.source, path=str(folder / "gone.csv"))
    write_manifest(folder, msgspec.structs.replace(manifest, source=source))
    path = report(folder)
    assert path == folder / "report.html"
    text = path.read_text(encoding="utf-8")
    assert "because the rows it was judged on cannot be read" in text
    assert "gone.csv" in text
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("---\n")


def test_before_compress_the_report_is_written_and_says_so(folder: Path) -> None:
    bare = msgspec.structs.replace(manifest_of(classify()), variants=(), refused=(), chosen=None)
    write_manifest(folder, bare)
    assert "not compiled yet" in report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("task", [classify(), Regress()], ids=lambda t: t.name)
def test_the_chosen_variant_answers_the_held_out_rows(
    folder: Path, task: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = judged_of(task)  # type: ignore[arg-type]
    held_out = SimpleNamespace(targets=judged.targets, sha256=judged.sha256)
    ran: list[str] = []

    def logits(engine: str, *_: object) -> np.ndarray:
        ran.append(engine)
        return judged.logits

    monkeypatch.setattr(recipe, "training_splits", lambda _: (None, None, judged.dataset))
    monkeypatch.setattr(recipe, "judging", lambda *_: SimpleNamespace(held_out=held_out))
    monkeypatch.setattr(recipe, "load_engine", lambda folder, variant: Path(variant.file).name)
    monkeypatch.setattr(recipe, "held_out_logits", logits)
    write_manifest(folder, manifest_of(task))  # type: ignore[arg-type]
    text = report(folder).read_text(encoding="utf-8")
    assert "text 3 of the held-out rows" in text
    # Only for numbers is fp32 run too: a certificate does not list them.
    assert ran == ["model_quantized.onnx", "model.onnx"][: 2 if task.name == "regress" else 1]  # type: ignore[attr-defined]


def test_a_report_does_not_change_what_is_proven(folder: Path) -> None:
    manifest = manifest_of(classify())
    source = msgspec.structs.replace(manifest.source, path=str(folder / "gone.csv"))
    write_manifest(folder, msgspec.structs.replace(manifest, source=source))
    before = (folder / "limbeck.json").read_bytes()
    first = report(folder).read_bytes()
    assert report(folder).read_bytes() == first
    assert (folder / "limbeck.json").read_bytes() == before
