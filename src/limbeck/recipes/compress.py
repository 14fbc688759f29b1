"""`limbeck compress`: a trained bundle gets compiled variants, each proven on held-out rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from limbeck.bundle import Bundle, Variant, read_bundle, write_manifest
from limbeck.console import megabytes, say, stage
from limbeck.data import Columns
from limbeck.data.sampling import JUDGED_ROWS, at_most
from limbeck.engines import compute_logits
from limbeck.engines.onnxruntime_engine import OnnxRuntimeEngine
from limbeck.engines.torch_engine import TorchEngine
from limbeck.errors import CheckFailed
from limbeck.export.onnx import OPSET, Exported, count_operators, export_onnx
from limbeck.export.quantize import quantize_int8, sensitivities
from limbeck.measure import Certificate
from limbeck.nn.model import load_model
from limbeck.proving import Candidate, HeldOut, held_out_logits, prove, race
from limbeck.recipes.arguments import check_numbers, fingerprint
from limbeck.recipes.held_out import judging, new_rows, training_splits
from limbeck.recipes.trained import made_with
from limbeck.tasks import NUMERIC, AnyTask, Logits

FP32_FILE, INT8_FILE = "onnx/model.onnx", "onnx/model_quantized.onnx"
SENSITIVITY_ROWS = 128
PER_CHANNEL = "a scale per output channel"


@dataclass(frozen=True, slots=True)
class _Trial:
    """One way to quantise: `certificate` is None when its logits were not even numbers."""

    per_channel: bool
    keep_fp32: tuple[str, ...]
    remedies: tuple[str, ...]
    certificate: Certificate | None

    @property
    def holds(self) -> bool:
        return self.certificate is not None and self.certificate.holds


def compress(
    bundle: str | Path,
    *,
    data: str | None = None,
    max_drop: float = 0.5,
    threads: int | None = None,
) -> Bundle:
    """Compile a trained bundle to fp32 and int8 ONNX and prove each on held-out rows.

    int8 is tried with one scale a weight and with one for each output channel, and the form that changes fewer answers
    is kept. A form that loses more than the budget is refused; if both are, the most sensitive nodes stay in fp32, one
    after another, until the budget holds. The fastest variant that holds is chosen.

    Example: `limbeck compress model --max-drop 0.3`

    Parameters
    ----------
    bundle
        The folder that `limbeck train` wrote.
    data
        Labelled rows to judge by; by default the held-out rows of the training data. At most 2,000 are read.
    max_drop
        The most that a variant may lose, in points (hundredths) of the task's metric.
    threads
        Compute threads; by default what the CPU quota and affinity allow.
    """
    check_numbers(max_drop=max_drop, threads=threads)
    opened = read_bundle(bundle)
    with stage("Judging the fp32 PyTorch model"):
        judge = _Judge(opened, data, max_drop, threads)
    with stage("Compiling fp32 ONNX"):
        fp32 = judge.export()
    with stage("Compiling int8 ONNX"):
        trials = judge.int8_trials()
        kept = judge.keep_closest(trials)
    variants = [fp32, *kept]
    holding = [v for v in variants if v.certificate and v.certificate.holds]
    chosen = judge.fastest(holding)
    manifest = msgspec.structs.replace(
        opened.manifest,
        variants=tuple(variants),
        refused=tuple(t.certificate for t in trials if t.certificate and not t.holds),
        chosen=chosen.name if chosen else None,
        arguments=opened.manifest.arguments
        | {"compress": {"data": data, "max_drop": max_drop, "fingerprint": compress_mark(opened, data, max_drop)}},
    )
    written = Bundle(opened.folder, write_manifest(opened.folder, manifest))
    if chosen is None:
        raise CheckFailed(f"no variant of {bundle} holds --max-drop {max_drop:g}, not even fp32 ONNX")
    say(f"  chosen: {chosen.name}")
    return written


def compress_mark(bundle: Bundle, data: str | None, max_drop: float) -> str:
    """What the variants of a bundle depend on."""
    trained = made_with(bundle.manifest)["fingerprint"]
    return fingerprint({"train": trained, "data": data, "max_drop": max_drop}, bundle.manifest.source.sha256)


class _Judge:
    """The held-out rows, the reference's answers on them, and the bundle whose variants are judged."""

    def __init__(self, bundle: Bundle, data: str | None, max_drop: float, threads: int | None) -> None:
        self.folder = bundle.folder
        self.task, self.model = bundle.manifest.task, bundle.manifest.model
        self.max_drop, self.threads = max_drop, threads
        dev, test = training_splits(bundle) if data is None else (None, None)
        if test is None:
            test = at_most(new_rows(bundle, str(data), Columns(), skip_bad_rows=False), JUDGED_ROWS)
        self.held_out: HeldOut = judging(bundle, test).held_out
        # Which nodes to keep is chosen on other rows than those it is judged by, where there are any.
        self.probe = judging(bundle, at_most(dev or test, SENSITIVITY_ROWS)).held_out.tokens
        # The exporter needs eager attention, and the reference should be the very model that is exported.
        self.torch_model = load_model(bundle.folder, self.task, pooling=self.model.pooling, attention="eager")
        self.reference: Logits = held_out_logits(TorchEngine(self.torch_model), self.held_out, self.task, self.model)
        say(f"  {self.task.metric} {self.task.score(self.reference, self.held_out.targets):.4f} on {len(test):,} rows")

    def export(self) -> Variant:
        """The fused fp32 ONNX file, proven."""
        exported = export_onnx(self.torch_model, self.folder / FP32_FILE)
        certificate = self._prove("onnx-fp32", "fp32", self.folder / FP32_FILE)
        _say_certificate(certificate, self.task)
        return self._variant("onnx-fp32", "fp32", FP32_FILE, exported, (), certificate)

    def int8_trials(self) -> list[_Trial]:
        """Ways to quantise, built and proven: both kinds of scales and, if neither holds, remedies until one does."""
        # Equally fast, and which is closer differs from model to model.
        trials = [self._trial(per_channel=False), self._trial(per_channel=True, remedies=(PER_CHANNEL,))]
        if any(trial.holds for trial in trials):
            return trials
        per_channel = _drop(trials[1]) <= _drop(trials[0])
        ranked = sensitivities(self.folder / FP32_FILE, self._probe_logits, per_channel=per_channel)
        kept = 1
        while kept < len(ranked) and not trials[-1].holds:
            names = tuple(s.node for s in ranked[:kept])
            remedy = f"kept in fp32: {', '.join(_short(name) for name in names)}"
            channels = (PER_CHANNEL,) if per_channel else ()
            trials.append(self._trial(per_channel=per_channel, keep_fp32=names, remedies=(*channels, remedy)))
            kept *= 2
        return trials

    def fastest(self, variants: list[Variant]) -> Variant | None:
        """The one with the most rows a second, timed in turn: apart, a busy moment could turn the order around."""
        if len(variants) < 2:
            return variants[0] if variants else None
        engines = [OnnxRuntimeEngine(self.folder / v.file, threads=self.threads) for v in variants]
        speeds = race(engines, self.held_out.tokens, self.model)
        return max(zip(speeds, variants, strict=True), key=lambda found: found[0])[1]

    def keep_closest(self, trials: list[_Trial]) -> list[Variant]:
        """The closest to the reference of the trials that hold, its file on disk; without one the file is removed."""
        holding = [(t, t.certificate) for t in trials if t.certificate and t.certificate.holds]
        if not holding:
            (self.folder / INT8_FILE).unlink(missing_ok=True)
            return []
        closest, certificate = min(holding, key=lambda found: (found[1].changed, found[1].p99_abs_logit))
        if closest is not trials[-1]:
            self._quantize(closest.per_channel, closest.keep_fp32)
        exported = Exported(self.torch_model.input_names, OPSET, count_operators(self.folder / INT8_FILE))
        return [self._variant("onnx-int8", "int8", INT8_FILE, exported, closest.remedies, certificate)]

    def _quantize(self, per_channel: bool, keep_fp32: tuple[str, ...]) -> Path:
        path = self.folder / INT8_FILE
        quantize_int8(self.folder / FP32_FILE, path, per_channel=per_channel, keep_fp32=keep_fp32)
        return path

    def _trial(self, *, per_channel: bool, keep_fp32: tuple[str, ...] = (), remedies: tuple[str, ...] = ()) -> _Trial:
        path = self._quantize(per_channel, keep_fp32)
        try:
            certificate = self._prove("onnx-int8", "int8", path, remedies)
        except CheckFailed as error:
            say(f"  int8 refused: {error}")
            return _Trial(per_channel, keep_fp32, remedies, None)
        _say_certificate(certificate, self.task)
        return _Trial(per_channel, keep_fp32, remedies, certificate)

    def _prove(self, name: str, precision: str, path: Path, remedies: tuple[str, ...] = ()) -> Certificate:
        candidate = Candidate(name, "onnxruntime", precision, path.stat().st_size, remedies)
        engine = OnnxRuntimeEngine(path, threads=self.threads)
        return prove(
            candidate,
            engine,
            self.held_out,
            self.reference,
            task=self.task,
            model=self.model,
            max_drop=self.max_drop,
        )

    def _probe_logits(self, path: Path) -> NDArray[np.float32]:
        engine = OnnxRuntimeEngine(path, threads=self.threads)
        return compute_logits(engine.run, self.probe, pad_id=self.model.pad_id, max_tokens=self.model.max_tokens)

    def _variant(
        self,
        name: str,
        precision: str,
        file: str,
        exported: Exported,
        remedies: tuple[str, ...],
        certificate: Certificate | None,
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


def _short(node: str) -> str:
    """`layer.0/output/dense` of `/model/inner/bert/encoder/layer.0/output/dense/MatMul`."""
    return node.rpartition("/encoder/")[2].removesuffix("/MatMul")


def _drop(trial: _Trial) -> float:
    return trial.certificate.drop_points if trial.certificate else math.inf


def _say_certificate(c: Certificate, task: AnyTask) -> None:
    verdict = "holds" if c.holds else f"REFUSED, over --max-drop {c.max_drop_points:g}"
    remedies = f" ({'; '.join(c.remedies)})" if c.remedies else ""
    counted = f"{c.changed:,} of {c.rows:,} predictions changed"
    changed = f"numbers moved by up to {c.max_abs_logit:.2g}" if task.name in NUMERIC else counted
    say(
        f"  {c.variant}{remedies}: {c.metric} {c.value:.4f}, drop {c.drop_points:+.2f} points "
        f"[{c.drop_low_points:+.2f}, {c.drop_high_points:+.2f}], {changed}, "
        f"{c.speed.rows_per_second:.0f} rows/s, {c.speed.single_ms:.1f} ms alone, {megabytes(c.size_bytes)}: {verdict}"
    )
