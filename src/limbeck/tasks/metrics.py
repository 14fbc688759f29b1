"""The metrics of the text tasks, in NumPy: a bootstrap calls them thousands of times, production has no scikit-learn.

Each is tested against scikit-learn or SciPy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]


def f1_per_label(predicted: Bools, target: Bools) -> NDArray[np.float64]:
    """F1 = 2 TP / (2 TP + FP + FN) of each column of two boolean arrays `[rows, labels]`; 0 where it is undefined."""
    hits = np.sum(predicted & target, axis=0)
    counted = np.sum(predicted, axis=0) + np.sum(target, axis=0)
    f1 = np.zeros(hits.shape, np.float64)
    np.divide(2.0 * hits, counted, out=f1, where=counted > 0)
    return f1


def f1_of_counts(counts: Floats) -> float:
    """Micro F1 = 2 TP / (given + wanted), from TP, given and wanted of each row `[rows, 3]`; 0 where undefined."""
    hits, given, wanted = counts.sum(axis=0)
    return float(2 * hits / (given + wanted)) if given + wanted else 0.0


def macro_f1(predicted: Bools, target: Bools) -> float:
    """The plain mean of `f1_per_label` over labels that occur, in the targets or the predictions."""
    occurs = np.any(predicted, axis=0) | np.any(target, axis=0)
    return float(f1_per_label(predicted, target)[occurs].mean()) if occurs.any() else 0.0


def one_hot(indices: Ints, labels: int) -> Bools:
    """Label indices `[rows]` as booleans `[rows, labels]`."""
    return np.equal(np.asarray(indices)[:, None], np.arange(labels), dtype=np.bool_)


def pearson(a: Floats, b: Floats) -> float:
    """Pearson's r of two vectors; 0 where one of them is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / norm if norm > 0 else 0.0


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rho: Pearson's r of the ranks, ties sharing their mean rank."""
    return pearson(_ranks(a), _ranks(b))


def _ranks(values: Floats) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts - 1) / 2
    return np.asarray(mean_rank[inverse], dtype=np.float64)
