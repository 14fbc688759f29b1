"""The variants for ONNX Runtime: fused fp32, and int8 with static scales."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.bundle import Variant
from limbeck.console import progress_bar, say, stage
from limbeck.data.sampling import evenly
from limbeck.engines.base import Arrays
from limbeck.engines.onnxruntime_engine import OnnxRuntimeEngine
from limbeck.errors import CheckFailed
from limbeck.export.onnx import OPSET, Exported, count_operators, export_onnx
from limbeck.export.quantize import Sensitivity, quantize_int8, sensitivities, weight_nodes
from limbeck.measure import Certificate
from limbeck.proving import Candidate
from limbeck.recipes.compressing.judge import PROBE_CALIBRATION_ROWS, Judge, size_of
from limbeck.recipes.compressing.remedies import keep_sensitive

FP32_FILE, INT8_FILE = "onnx/model.onnx", "onnx/model_quantized.onnx"
PER_CHANNEL = "a scale per output channel"


@dataclass(frozen=True, slots=True)
class _Trial:
    """One way to quantise, built at `path` and removed where it does not hold.

    `certificate` is None when its logits were not even numbers.
    """

    path: Path
    remedies: tuple[str, ...]
    certificate: Certificate | None

    @property
    def holds(self) -> bool:
        return self.certificate is not None and self.certificate.holds


def onnx_variants(judge: Judge) -> tuple[list[Variant], list[Certificate]]:
    """fp32, int8 if a form of it holds, and the certificates of all that were refused."""
    fp32_file = judge.folder / FP32_FILE
    with stage("Compiling fp32 ONNX"):
        exported = export_onnx(judge.torch_model, fp32_file)
        engine = OnnxRuntimeEngine(fp32_file, judge.settings)
        certificate = judge.prove(Candidate("onnx-fp32", "onnxruntime", "fp32", size_of(fp32_file)), engine)
        fp32 = _variant("onnx-fp32", "fp32", FP32_FILE, exported, (), certificate)
    with stage("Compiling int8 ONNX"):
        trials = _int8_trials(judge)
        kept = _keep_closest(judge, trials)
    return [fp32, *kept], [t.certificate for t in trials if t.certificate and not t.holds]


def _int8_trials(judge: Judge) -> list[_Trial]:
    """Ways to quantise, built and proven: both kinds of scales and, if neither holds, remedies until one does."""
    # Equally fast, and which is closer differs from model to model.
    trials = [_trial(judge, per_channel=False), _trial(judge, per_channel=True, remedies=(PER_CHANNEL,))]
    if any(trial.holds for trial in trials):
        return trials
    per_channel = _drop(trials[1]) <= _drop(trials[0])
    channels = (PER_CHANNEL,) if per_channel else ()

    def attempt(names: tuple[str, ...], remedy: str) -> _Trial:
        return _trial(judge, per_channel=per_channel, keep_fp32=names, remedies=(*channels, remedy))

    return [*trials, *keep_sensitive(_sensitivities(judge, per_channel), attempt)]


def _sensitivities(judge: Judge, per_channel: bool) -> list[Sensitivity]:
    source = judge.folder / FP32_FILE

    def logits(path: Path) -> NDArray[np.float32]:
        return judge.probe(OnnxRuntimeEngine(path, judge.settings))

    nodes = weight_nodes(source)
    say(f"  int8 of everything loses too much: looking for the nodes, of {len(nodes)}, that lose most")
    with tempfile.TemporaryDirectory() as folder, progress_bar("nodes", len(nodes)) as update:
        trial, judged = Path(folder) / "trial.onnx", count(1)

        def quantized(keep_fp32: Sequence[str]) -> NDArray[np.float32]:
            rows = evenly(judge.calibration, PROBE_CALIBRATION_ROWS)
            _quantize(judge, trial, rows, per_channel, keep_fp32)
            found = logits(trial)
            update(next(judged), "")
            return found

        return sensitivities(nodes, logits(source), quantized)


def _keep_closest(judge: Judge, trials: list[_Trial]) -> list[Variant]:
    """The closest to the reference of the trials that hold, if any does, its file in place."""
    holding = [(t, t.certificate) for t in trials if t.certificate and t.certificate.holds]
    if not holding:
        return []
    closest, certificate = min(holding, key=lambda found: (found[1].changed, found[1].p99_abs_logit))
    path = closest.path.replace(judge.folder / INT8_FILE)
    exported = Exported(judge.torch_model.input_names, OPSET, count_operators(path))
    return [_variant("onnx-int8", "int8", INT8_FILE, exported, closest.remedies, certificate)]


def _quantize(judge: Judge, target: Path, rows: Sequence[Arrays], per_channel: bool, keep_fp32: Sequence[str]) -> None:
    source, settings = judge.folder / FP32_FILE, judge.settings
    quantize_int8(source, target, rows, per_channel=per_channel, keep_fp32=keep_fp32, settings=settings)


def _trial(
    judge: Judge, *, per_channel: bool, keep_fp32: tuple[str, ...] = (), remedies: tuple[str, ...] = ()
) -> _Trial:
    path = judge.folder / f"int8-{'channels' if per_channel else 'weights'}-{len(keep_fp32)}.onnx"
    _quantize(judge, path, judge.calibration, per_channel, keep_fp32)
    candidate = Candidate("onnx-int8", "onnxruntime", "int8", size_of(path), remedies)
    certificate = None
    try:
        certificate = judge.prove(candidate, OnnxRuntimeEngine(path, judge.settings))
    except CheckFailed as error:
        say(f"  int8 refused: {error}")
    trial = _Trial(path, remedies, certificate)
    if not trial.holds:
        path.unlink()
    return trial


def _variant(
    name: str, precision: str, file: str, exported: Exported, remedies: tuple[str, ...], certificate: Certificate
) -> Variant:
    return Variant(
        name=name,
        engine="onnxruntime",
        precision=precision,
        file=file,
        inputs=exported.inputs,
        opset=exported.opset,
        fused=exported.fused,
        remedies=remedies,
        certificate=certificate,
    )


def _drop(trial: _Trial) -> float:
    return trial.certificate.drop_points if trial.certificate else math.inf
