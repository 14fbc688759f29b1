"""What a model's answers are worth, label by label: the numbers behind the report's tables and plots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.tasks.metrics import Bools, Ints

Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """How one label fares. `support` rows have it, `given` rows were answered with it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    given: int
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """So many rows of label `true` were answered `predicted`: `share` of all rows of that label."""

    true: str
    predicted: str
    rows: int
    share: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy in bins of equal width, empty ones left out; `low` and `high` are 95 % intervals."""

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    rows: NDArray[np.int64]
    expected_error: float


def per_label(
    labels: tuple[str, ...], given: Bools, wanted: Bools, thresholds: tuple[float, ...] = ()
) -> list[LabelQuality]:
    """Precision, recall and F1 of each label from booleans `[rows, labels]`; best F1 first, labels without rows last.

    A ratio without a denominator is 0.
    """
    counts = np.stack([np.sum(x, axis=0) for x in (given & wanted, given, wanted)], axis=1)
    return from_counts(labels, counts, thresholds)


def from_counts(
    labels: tuple[str, ...], counts: NDArray[np.int64], thresholds: tuple[float, ...] = ()
) -> list[LabelQuality]:
    """The same from how often each label is right, given and wanted, `[labels, 3]`."""
    found = [
        LabelQuality(
            label,
            right / max(1, answered),
            right / max(1, support),
            2 * right / max(1, answered + support),
            support,
            answered,
            thresholds[i] if thresholds else None,
        )
        for i, (label, (right, answered, support)) in enumerate(zip(labels, counts.tolist(), strict=True))
    ]
    return sorted(found, key=lambda q: (q.support == 0, -q.f1, -q.support))


def confusion(predicted: Ints, targets: Ints, labels: int) -> NDArray[np.int64]:
    """Rows by true label (first axis) and answer (second axis), `[labels, labels]`."""
    matrix = np.zeros((labels, labels), np.int64)
    np.add.at(matrix, (targets, predicted), 1)
    return matrix


def confused_pairs(labels: tuple[str, ...], matrix: NDArray[np.int64], *, most: int = 15) -> list[ConfusedPair]:
    """The off-diagonal cells with most rows."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    cells = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)]
    totals = matrix.sum(axis=1)
    return [
        ConfusedPair(labels[i], labels[j], int(wrong[i, j]), float(wrong[i, j] / totals[i]))
        for i, j in cells
        if wrong[i, j]
    ]


def reliability(confidence: NDArray[np.float64], right: Bools, *, bins: int = 10) -> Reliability:
    """The reliability diagram and the expected calibration error (Guo et al. 2017) of `[rows]` answers."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = np.bincount(place, minlength=bins)
    filled = rows > 0
    n = rows[filled].astype(np.float64)
    mean = np.bincount(place, confidence, bins)[filled] / n
    share = np.bincount(place, right.astype(np.float64), bins)[filled] / n
    low, high = _wilson(share, n)
    error = float(np.sum(n * np.abs(mean - share)) / n.sum())
    return Reliability(mean, share, low, high, rows[filled].astype(np.int64), error)


def _wilson(share: NDArray[np.float64], n: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The interval of a share of `n` rows (Wilson 1927)."""
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    # Rounding may put the end of the interval of a share of 0 or 1 a hair inside it.
    return np.minimum(centre - half, share), np.maximum(centre + half, share)
