"""Length statistics of a corpus, and the `max_tokens` they suggest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COVERED = 0.995  # the share of texts that the suggested max_tokens holds whole


@dataclass(frozen=True, slots=True)
class LengthStatistics:
    """Token counts, special tokens included."""

    mean: float
    median: int
    p95: int
    p99: int
    longest: int


def length_statistics(lengths: Sequence[int]) -> LengthStatistics:
    """Mean, median, 95th and 99th percentile and maximum of token counts."""
    p50, p95, p99 = np.percentile(lengths, [50, 95, 99], method="higher")
    return LengthStatistics(float(np.mean(lengths)), int(p50), int(p95), int(p99), int(np.max(lengths)))


def suggest_max_tokens(lengths: Sequence[int], *, limit: int) -> int:
    """The least multiple of 16 that holds 99.5 % of the texts whole, at least 32 and at most `limit`."""
    needed = int(np.percentile(lengths, 100 * COVERED, method="higher"))
    return min(max(32, -(-needed // 16) * 16), limit)


def length_histogram(lengths: Sequence[int], *, bins: int = 40) -> dict[str, list[int]]:
    """Rows (`counts`) in `bins` equal ranges of tokens between `edges`."""
    counts, edges = np.histogram(lengths, bins=min(bins, max(1, max(lengths) - min(lengths) + 1)))
    return {"counts": counts.tolist(), "edges": np.round(edges).astype(int).tolist()}
