"""The variants for OpenVINO: fp32 and int8 with static scales, and both in bf16 on CPUs that have it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from limbeck.bundle import Variant
from limbeck.console import progress_bar, say, stage
from limbeck.data.sampling import evenly
from limbeck.engines import Engine
from limbeck.errors import CheckFailed
from limbeck.export.onnx import OPSET
from limbeck.export.quantize import sensitivities
from limbeck.measure import Certificate
from limbeck.proving import Candidate
from limbeck.recipes.compressing.judge import PROBE_CALIBRATION_ROWS, Judge, size_of
from limbeck.recipes.compressing.remedies import keep_sensitive

FP32_FILE, INT8_FILE = "openvino/openvino_model.xml", "openvino/openvino_model_qint8_quantized.xml"


@dataclass(frozen=True, slots=True)
class Trial:
    """A variant and what was proven of it; `certificate` is None when its logits were not even numbers."""

    variant: Variant
    certificate: Certificate | None

    @property
    def holds(self) -> bool:
        """Whether it is a variant within the budget."""
        return self.certificate is not None and self.certificate.holds


def openvino_variants(judge: Judge) -> tuple[list[Variant], list[Certificate]]:
    """Those that hold, and the certificates of those that were refused."""
    # An extra, which takes a while to import.
    from limbeck.engines.openvino_engine import has_bf16
    from limbeck.export.openvino import export_openvino

    with stage("Compiling for OpenVINO"):
        export_openvino(judge.torch_model, judge.folder / FP32_FILE)
        tried = [_proven(judge, precision, FP32_FILE) for precision in ("fp32", *(["bf16"] if has_bf16() else []))]
    with stage("Compiling int8 for OpenVINO"):
        tried += _int8_trials(judge)
        if has_bf16() and tried[-1].holds:
            tried.append(_proven(judge, "int8-bf16", INT8_FILE, tried[-1].variant.remedies))
    proven = [trial for trial in tried if trial.certificate is not None]
    holding = [trial for trial in proven if trial.holds]
    refused = [trial.certificate for trial in proven if trial.certificate and not trial.holds]
    return [msgspec.structs.replace(trial.variant, certificate=trial.certificate) for trial in holding], refused


def _int8_trials(judge: Judge) -> list[Trial]:
    """int8 as it is, and if it does not hold with the most sensitive products in fp32, until it does."""
    from limbeck.export.openvino import product_names, quantize_openvino

    source, target = judge.folder / FP32_FILE, judge.folder / INT8_FILE
    rows = judge.calibration

    def attempt(names: tuple[str, ...], *remedies: str) -> Trial:
        quantize_openvino(source, target, rows, keep_fp32=names)
        return _proven(judge, "int8", INT8_FILE, remedies)

    first = attempt(())
    if first.holds:
        return [first]
    names = product_names(source)
    with progress_bar("Quantising each product alone", len(names)) as bar, tempfile.TemporaryDirectory() as folder:
        trial, done = Path(folder) / "trial.xml", count(1)

        def quantized(keep_fp32: Sequence[str]) -> NDArray[np.float32]:
            few = evenly(rows, PROBE_CALIBRATION_ROWS)
            quantize_openvino(source, trial, few, keep_fp32=keep_fp32, progress=False)
            bar(next(done), "")
            return judge.probe(_engine(judge, trial, "int8"))

        ranked = sensitivities(names, judge.probe(_engine(judge, source, "fp32")), quantized)
    return [first, *keep_sensitive(ranked, attempt)]


def _engine(judge: Judge, path: Path, precision: str) -> Engine:
    from limbeck.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(path, judge.settings, precision=precision)


def _proven(judge: Judge, precision: str, file: str, remedies: tuple[str, ...] = ()) -> Trial:
    """A variant with its certificate; without one where a logit is no number, which is said."""
    name = f"openvino-{precision}"
    candidate = Candidate(name, "openvino", precision, size_of(judge.folder / file), remedies)
    variant = Variant(
        name=name,
        engine="openvino",
        precision=precision,
        file=file,
        inputs=judge.torch_model.input_names,
        opset=OPSET,
        fused={},
        remedies=remedies,
    )
    try:
        return Trial(variant, judge.prove(candidate, _engine(judge, judge.folder / file, precision)))
    except CheckFailed as error:
        say(f"  {name} refused: {error}")
        return Trial(variant, None)
