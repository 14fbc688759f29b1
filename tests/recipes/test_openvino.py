from __future__ import annotations

import shutil
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import limbeck
from limbeck.bundle import Variant, read_bundle
from limbeck.cli import run
from limbeck.errors import CheckFailed, UsageError
from limbeck.export.quantize import Sensitivity
from limbeck.measure import Certificate
from limbeck.proving import Candidate
from limbeck.proving import prove as really_prove
from limbeck.recipes.compressing.openvino_variants import Trial

if TYPE_CHECKING:
    from bundles import Command

pytest_plugins = ("bundles",)
pytestmark = pytest.mark.usefixtures("quick_speed")
NOTHING = Variant(name="openvino-int8", engine="openvino", precision="int8", file="", inputs=(), opset=17, fused={})
REFUSED = Trial(NOTHING, None)
VARIANTS = ["onnx-fp32", "onnx-int8", "openvino-fp32", "openvino-bf16", "openvino-int8", "openvino-int8-bf16"]


def test_a_bundle_for_openvino(
    own_bundle: Path, command: Command, monkeypatch: pytest.MonkeyPatch, reviews_csv: Path
) -> None:
    monkeypatch.setattr(
        "limbeck.recipes.compressing.judge.race_engines",
        lambda engines, *_, **__: [float(i) for i in range(len(engines))],
    )
    bundle = limbeck.compress(own_bundle, max_drop=100.0, threads=1, engine=["openvino"], keep_all=True)
    names = [variant.name for variant in bundle.manifest.variants]
    assert [name for name in names if not name.endswith("bf16")] == [v for v in VARIANTS if not v.endswith("bf16")]
    assert bundle.manifest.chosen == names[-1]
    assert {"openvino/openvino_model.xml", "openvino/openvino_model.bin"} < set(bundle.manifest.files)
    certificates = {variant.name: variant.certificate for variant in bundle.manifest.variants}
    assert certificates["openvino-fp32"].max_abs_logit < 1e-3
    assert certificates["openvino-int8"].size_bytes < certificates["openvino-fp32"].size_bytes

    texts = ["a fine film", "an awful book and a dull plot"]
    plain = limbeck.load(own_bundle, variant="onnx-fp32", threads=1).predict(texts)
    for name in names[2:]:
        # oneDNN's bf16 products on AMX may read beside a row that is no multiple of 32 numbers, as a head here is:
        # https://github.com/uxlfoundation/oneDNN/issues/5717.
        with suppress(CheckFailed) if name.endswith("bf16") else nullcontext():
            found = limbeck.load(own_bundle, variant=name, threads=1).predict(texts)
            scores = [[one.scores["positive"] for one in answers] for answers in (plain, found)]
            np.testing.assert_allclose(scores[1], scores[0], atol=0.1, err_msg=name)
    assert command("verify", own_bundle, "--variant", "openvino-fp32").code == 0

    monkeypatch.setattr("limbeck.engines.load.has_openvino", lambda: False)
    with pytest.raises(UsageError, match=r"needs openvino.*limbeck\[openvino\].*--variant onnx-int8"):
        limbeck.load(own_bundle, variant="openvino-int8")
    assert limbeck.load(own_bundle).variant.engine == "onnxruntime"
    answered = command("predict", own_bundle, *texts)
    assert answered.code == 0
    assert f"{names[-1]} is faster and needs `pip install 'limbeck[openvino]'`" in answered.err
    proven = command("verify", own_bundle)
    assert proven.code == 0
    assert f"{names[-1]} is not proven: its engine is not installed" in proven.err
    # Compiled again without it, nothing of it is left.
    again = limbeck.compress(own_bundle, max_drop=100.0, threads=1)
    assert [variant.name for variant in again.manifest.variants] == VARIANTS[:2]
    assert not (own_bundle / "openvino").exists()
    assert read_bundle(own_bundle).manifest.chosen == "onnx-int8"


@pytest.mark.parametrize("library", ["openvino", "nncf"])
def test_an_engine_that_is_not_installed_is_said_first(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setattr("limbeck.engines.load.find_spec", lambda name: None if name == library else object())
    monkeypatch.setattr("limbeck.recipes.compress.Judge", None)
    with pytest.raises(
        UsageError, match=rf"needs {library}, which is not installed: pip install 'limbeck\[openvino\]'"
    ):
        limbeck.compress(own_bundle, engine=["openvino"])


@pytest.mark.parametrize("enough", [2, 99])
def test_where_int8_loses_too_much_the_most_sensitive_products_stay_in_fp32(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, enough: int
) -> None:
    ranked = [Sensitivity(f"/encoder/layer.{n // 6}/{n}", 9.0 - n) for n in range(8)]
    tried: list[tuple[str, ...]] = []

    def quantize(source: Path, target: Path, rows: object, *, keep_fp32: tuple[str, ...]) -> None:
        tried.append(keep_fp32)
        for suffix in (".xml", ".bin"):
            shutil.copy(source.with_suffix(suffix), target.with_suffix(suffix))

    def prove(candidate: Candidate, *given: Any, **said: Any) -> Certificate:
        lost = 9.0 if candidate.name.startswith("openvino-int8") and len(tried[-1]) < enough else 0.0
        made = really_prove(candidate, *given, **said)
        return replace(made, drop_points=lost, holds=lost <= 1.0)

    monkeypatch.setattr("limbeck.export.openvino.quantize_openvino", quantize)
    monkeypatch.setattr("limbeck.recipes.compressing.openvino_variants.sensitivities", lambda *_: ranked)
    monkeypatch.setattr("limbeck.recipes.compressing.judge.prove", prove)
    manifest = limbeck.compress(own_bundle, max_drop=1.0, threads=1, engine=["openvino"]).manifest
    names = [s.node for s in ranked]
    refused = [c.remedies for c in manifest.refused if c.variant == "openvino-int8"]
    assert tried[:3] == [(), tuple(names[:1]), tuple(names[:2])]
    if enough == 2:
        (int8,) = (c for c in manifest.beaten if c.variant == "openvino-int8")
        assert int8.remedies == ("kept in fp32: layer.0/0, layer.0/1",)
        assert refused == [(), ("kept in fp32: layer.0/0",)]
        # Of OpenVINO the chosen one stays; here an ONNX variant was chosen.
        assert manifest.chosen == "onnx-fp32"
        assert {c.variant for c in manifest.beaten} >= {"openvino-fp32", "openvino-int8"}
    else:
        assert len(tried) == len(refused) == 4
        assert "openvino-int8" not in {c.variant for c in manifest.beaten}
    assert not (own_bundle / "openvino").exists()


def test_of_openvino_the_chosen_variants_file_stays(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("limbeck.recipes.compressing.openvino_variants._int8_trials", lambda judge: [REFUSED])
    monkeypatch.setattr(
        "limbeck.recipes.compressing.judge.race_engines",
        lambda engines, *_, **__: [float(i == 2) for i in range(len(engines))],
    )
    assert run(["compress", str(own_bundle), "--engine", "openvino", "--threads", "1", "--max-drop", "100"]) == 0
    assert "openvino-fp32 *" in capsys.readouterr().out
    manifest = read_bundle(own_bundle).manifest
    assert manifest.chosen == "openvino-fp32"
    assert {f for f in manifest.files if f.startswith("openvino/")} == set(manifest.variants[2].files)
    assert manifest.beaten == ()  # bf16 is of the same file
