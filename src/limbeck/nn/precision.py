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

    The random state is restored, so that the choice itself leaves no trace in the run.
    """
    precisions: tuple[Precision, Precision] = ("fp32", "bf16")
    times: dict[Precision, list[float]] = {p: [] for p in precisions}
    with torch.random.fork_rng():
        for repeat in range(repeats + 1):
            for precision in precisions:
                start = clock()
                step(precision)
                if repeat:  # the first of each warms up
                    times[precision].append(1000 * (clock() - start))
    fp32, bf16 = median(times["fp32"]), median(times["bf16"])
    return PrecisionChoice("bf16" if fp32 > MIN_GAIN * bf16 else "fp32", fp32, bf16)
