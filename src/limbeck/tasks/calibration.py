"""Temperature scaling (Guo et al. 2017) and thresholds that maximise F1, fitted on dev rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from limbeck.tasks.metrics import f1_per_label

COLDEST, HOTTEST = 0.1, 10.0  # temperatures
PRIOR_DEVIATION = 0.5
MIN_POSITIVES = 5  # a threshold fitted on fewer positive dev rows than this would be fitted to noise


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities over the last axis."""
    z = logits.astype(np.float64)
    z -= np.maximum.reduce(z, axis=-1, keepdims=True)
    np.exp(z, out=z)
    z /= np.add.reduce(z, axis=-1, keepdims=True)
    return z


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64))), dtype=np.float64)


def fit_temperature(loss: Callable[[float], float], rows: int) -> float:
    """The temperature from 0.1 to 10 with the least `loss`, the mean over `rows` rows, and a little near 1.

    Its logarithm is taken to be normal around 0 beforehand, with deviation 0.5: a few dozen rows that a model happens
    to get right must not make it sure of everything. A grid in log space, then a finer one around its best.
    """
    low, high = np.log(COLDEST), np.log(HOTTEST)
    best = 0.0
    for _ in range(3):
        grid = np.linspace(low, high, 41)
        losses = [loss(float(np.exp(t))) + t * t / (2 * PRIOR_DEVIATION**2 * rows) for t in grid]
        best = float(grid[int(np.argmin(losses))])
        step = float(grid[1] - grid[0])
        low, high = best - step, best + step
    return float(np.clip(np.exp(best), COLDEST, HOTTEST))


def cross_entropy(logits: NDArray[np.floating], targets: NDArray[np.integer]) -> float:
    """Mean negative log-likelihood of class indices `[rows]` under logits `[rows, classes]`."""
    z = logits.astype(np.float64)
    z = z - z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]))


def binary_cross_entropy(logits: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """Mean negative log-likelihood of 0/1 targets under logits of the same shape."""
    z = logits.astype(np.float64)
    return float(np.mean(np.maximum(z, 0) - z * targets + np.log1p(np.exp(-np.abs(z)))))


def fit_thresholds(probabilities: NDArray[np.float64], targets: NDArray[np.bool_]) -> tuple[float, ...]:
    """The probability threshold of each label that maximises its F1 on these rows.

    A label with fewer than MIN_POSITIVES positive rows takes the one threshold that is best over all labels together.
    """
    grid = np.linspace(0.02, 0.98, 97)
    shared = _best_threshold(probabilities.reshape(-1, 1), targets.reshape(-1, 1), grid)[0]
    own = _best_threshold(probabilities, targets, grid)
    enough = targets.sum(axis=0) >= MIN_POSITIVES
    return tuple(round(float(t), 4) for t in np.where(enough, own, shared))


def _best_threshold(
    probabilities: NDArray[np.float64], targets: NDArray[np.bool_], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    f1 = np.stack([f1_per_label(probabilities >= t, targets) for t in grid])
    at_best = f1 >= f1.max(axis=0, keepdims=True) - 1e-12
    return np.array([grid[_middle_of_longest_run(column)] for column in at_best.T])


def _middle_of_longest_run(flags: NDArray[np.bool_]) -> int:
    """The middle index of the longest run of true: the middle of a plateau is safer than its edge."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return int((starts[longest] + ends[longest] - 1) // 2)
