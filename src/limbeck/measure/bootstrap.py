"""Confidence intervals for the difference of a metric between two models on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from limbeck.errors import CheckFailed, UsageError

IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, in the unit of what was measured."""

    low: float
    high: float


def paired_bootstrap(
    metric: Callable[[IndexArray], tuple[float, float]],
    rows: int,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The percentile interval of `reference - variant`: positive where the variant is worse.

    `metric` gets the indices of resampled rows, `[rows]` with repetitions, and returns the metric of the
    reference and of the variant on exactly these rows; drawing the same rows for both takes the luck of the
    draw out of the difference. Where the two agree on every resample the interval is (0, 0).

    A resample on which a metric is undefined (a correlation of equal values) is left out.

    Percentile intervals: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    Paired resampling of test rows: Koehn, Statistical Significance Tests for Machine Translation
    Evaluation, EMNLP 2004.

    Raises:
        UsageError: `rows` or `resamples` is below 1, or `confidence` is not between 0 and 1.
        CheckFailed: the metric is undefined on more than half of the resamples.

    """
    if rows < 1 or resamples < 1:
        raise UsageError(f"a bootstrap needs at least one row and one resample, got {rows} and {resamples}")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must lie between 0 and 1, got {confidence}")
    generator = np.random.default_rng(seed)
    differences = np.empty(resamples, dtype=np.float64)
    for resample in range(resamples):
        reference, variant = metric(generator.integers(0, rows, size=rows, dtype=np.intp))
        differences[resample] = reference - variant
    defined = differences[np.isfinite(differences)]
    if 2 * len(defined) < resamples:
        raise CheckFailed(
            f"the metric is undefined on {resamples - len(defined)} of {resamples} resamples of {rows} rows, "
            "too many for a confidence interval: measure on more rows"
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))
