"""The held-out rows that compiled variants are judged by, and the reference's answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.bundle import Bundle, Variant
from limbeck.console import megabytes, say
from limbeck.data import Dataset
from limbeck.data.sampling import JUDGED_ROWS, at_most, evenly
from limbeck.engines import Engine, Settings, compute_logits
from limbeck.engines.base import Arrays
from limbeck.engines.load import load_engine
from limbeck.engines.torch_engine import TorchEngine
from limbeck.measure import Certificate, usable_cpus
from limbeck.nn.model import load_model
from limbeck.proving import Candidate, HeldOut, held_out_logits, prove, race_engines
from limbeck.recipes.held_out import judging, training_splits
from limbeck.tasks import NUMERIC, AnyTask, Logits
from limbeck.text import pad

PROBE_ROWS = 128
CALIBRATION_ROWS = 300  # the default of NNCF, which quantises for OpenVINO
PROBE_CALIBRATION_ROWS = 32  # where each node is quantised alone once

Objective = Literal["throughput", "latency", "size"]


class Judge:
    """The held-out rows, the reference's answers on them, and the `folder` in which a bundle's variants are built."""

    def __init__(
        self, bundle: Bundle, folder: Path, data: Dataset | None, max_drop: float, threads: int | None
    ) -> None:
        self.bundle, self.folder = bundle, folder
        self.task, self.model = bundle.manifest.task, bundle.manifest.model
        self.max_drop, self.settings = max_drop, Settings(threads=threads)
        if data is None:
            self._train, dev, test = training_splits(bundle)
        else:
            test = at_most(data, JUDGED_ROWS)
            self._train = dev = test
        self.held_out: HeldOut = judging(bundle, test).held_out
        # Which nodes to keep is chosen on other rows than those it is judged by, where there are any.
        self._probe = judging(bundle, at_most(dev, PROBE_ROWS)).held_out.tokens
        # The exporter needs eager attention, and the reference should be the very model that is exported.
        self.torch_model = load_model(bundle.folder, self.task, pooling=self.model.pooling, attention="eager")
        engine = TorchEngine(self.torch_model, threads=threads or usable_cpus())
        self.reference: Logits = held_out_logits(engine, self.held_out, self.task, self.model)
        say(f"  {self.task.metric} {self.task.score(self.reference, self.held_out.targets):.4f} on {len(test):,} rows")

    def prove(self, candidate: Candidate, engine: Engine) -> Certificate:
        """The certificate of a candidate, said. Raises `CheckFailed` where a logit is no finite number."""
        certificate = prove(
            candidate,
            engine,
            self.held_out,
            self.reference,
            task=self.task,
            model=self.model,
            max_drop=self.max_drop,
        )
        _say_certificate(certificate, self.task)
        return certificate

    def probe(self, engine: Engine) -> NDArray[np.float32]:
        """The engine's logits of a few dev rows."""
        return compute_logits(engine.run, self._probe, pad_id=self.model.pad_id, max_tokens=self.model.max_tokens)

    @cached_property
    def calibration(self) -> list[Arrays]:
        """Training rows, each a batch of its own; held-out ones where the bundle is judged by other data."""
        tokens = judging(self.bundle, at_most(self._train, CALIBRATION_ROWS)).held_out.tokens
        rows = evenly(tokens, CALIBRATION_ROWS)  # several are of one row where texts are long, or embedded
        return [pad([row], pad_id=self.model.pad_id, length=len(row)) for row in rows]

    def best(self, variants: Sequence[Variant], objective: Objective) -> Variant | None:
        """The fastest in batches (`throughput`) or on single texts (`latency`), or the smallest (`size`).

        They are timed in turn: apart, a busy moment could turn the order around.
        """
        if len(variants) < 2:
            return variants[0] if variants else None
        if objective == "size":
            return min(variants, key=lambda variant: size_of(self.folder / variant.file))
        engines = [load_engine(self.folder, v, self.settings) for v in variants]
        speeds = race_engines(engines, self.held_out.tokens, self.model, singles=objective == "latency")
        return max(zip(speeds, variants, strict=True), key=lambda found: found[0])[1]


def size_of(path: Path) -> int:
    """The bytes of a compiled file, and of the weights beside an OpenVINO IR."""
    files = (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)
    return sum(file.stat().st_size for file in files)


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
