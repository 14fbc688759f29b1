"""bf16 where it is really faster here: measured on a batch of the run's own, not assumed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]
HOPELESS, HOPELESS_MS = 8, 2_000  # bf16 that is so many times as slow, and takes so long, will not be found faster
MIN_GAIN = 1.1  # below this bf16 is not worth its rounding


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """The precision to train in, with the milliseconds a step that decided it (0 where nothing was measured)."""

    precision: Precision
    fp32_ms: float = 0.0
    bf16_ms: float = 0.0


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a forward pass runs in `precision`."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def measure_precision(
    step: Callable[[Precision], None], *, repeats: int = 5, clock: Callable[[], float] = time.perf_counter
) -> PrecisionChoice:
    """Time `step` (forward and backward) in both precisions in turn and choose by the medians.

    Where bf16 takes several times as long at once, as without instructions for it, a step of each is enough. The
    random state is restored, so that the choice itself leaves no trace in the run.
    """
    precisions: tuple[Precision, Precision] = ("fp32", "bf16")
    times: dict[Precision, list[float]] = {p: [] for p in precisions}
    with torch.random.fork_rng():
        for _ in range(repeats + 1):
            for precision in precisions:
                start = clock()
                step(precision)
                times[precision].append(1000 * (clock() - start))
            if times["bf16"][-1] > max(HOPELESS_MS, HOPELESS * times["fp32"][-1]):
                break
    fp32, bf16 = (median(times[p][1:] or times[p]) for p in precisions)  # the first of each warms up
    return PrecisionChoice("bf16" if fp32 > MIN_GAIN * bf16 else "fp32", fp32, bf16)
