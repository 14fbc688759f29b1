"""The variants for OpenVINO, where it is installed: fp32, bf16 on CPUs that have it, and int8 with static scales."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from limbeck.bundle import Variant
from limbeck.console import say, stage
from limbeck.engines.load import load_engine
from limbeck.errors import CheckFailed
from limbeck.export.onnx import OPSET
from limbeck.measure import Certificate
from limbeck.proving import Candidate
from limbeck.recipes.judge import Judge, size_of

FOLDER = "openvino"
FP32_FILE, INT8_FILE = f"{FOLDER}/openvino_model.xml", f"{FOLDER}/openvino_model_qint8_quantized.xml"


def openvino_variants(judge: Judge) -> tuple[list[Variant], list[Certificate]]:
    """Those that hold, and the certificates of those that were refused."""
    # An extra, which takes a while to import.
    from limbeck.engines.openvino_engine import has_bf16
    from limbeck.export.openvino import CALIBRATION_ROWS, export_openvino, quantize_openvino

    found: list[Variant] = []
    with stage("Compiling for OpenVINO"):
        export_openvino(judge.torch_model, judge.folder / FP32_FILE)
        found.append(_proven(judge, "fp32", FP32_FILE))
        if has_bf16():
            found.append(_proven(judge, "bf16", FP32_FILE))
    with stage("Compiling int8 for OpenVINO"):
        rows = judge.calibration_rows(CALIBRATION_ROWS)
        quantize_openvino(judge.folder / FP32_FILE, judge.folder / INT8_FILE, rows)
        try:
            found.append(_proven(judge, "int8", INT8_FILE))
        except CheckFailed as error:
            say(f"  int8 refused: {error}")
    certificates = [(variant, variant.certificate) for variant in found if variant.certificate is not None]
    holding = [variant for variant, certificate in certificates if certificate.holds]
    _remove_others(judge.folder, {variant.file for variant in holding})
    return holding, [certificate for _, certificate in certificates if not certificate.holds]


def _proven(judge: Judge, precision: str, file: str) -> Variant:
    name, size = f"openvino-{precision}", size_of(judge.folder / file)
    inputs = judge.torch_model.input_names
    variant = Variant(
        name=name, engine="openvino", precision=precision, file=file, inputs=inputs, opset=OPSET, fused={}
    )
    engine = load_engine(judge.folder, variant, judge.settings)
    certificate = judge.prove(Candidate(name, "openvino", precision, size), engine)
    return msgspec.structs.replace(variant, certificate=certificate)


def remove_openvino(folder: Path) -> None:
    """Remove what an earlier compilation left."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _remove_others(folder: Path, kept: set[str]) -> None:
    for file in {FP32_FILE, INT8_FILE} - kept:
        for suffix in (".xml", ".bin"):
            (folder / file).with_suffix(suffix).unlink(missing_ok=True)
    if not kept:
        remove_openvino(folder)
