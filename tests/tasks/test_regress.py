from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from limbeck.tasks import Reading, Regress, Regression

TASK = Regress()


def test_encode_reads_numbers_and_their_spellings() -> None:
    encoded = TASK.encode([1, 2.5, "-3e-1"])
    assert encoded.tolist() == pytest.approx([1, 2.5, -0.3])
    assert encoded.dtype == np.float32


def test_the_logit_is_the_answer() -> None:
    readings = [Reading(3), Reading(4, 2)]
    results = TASK.decode(np.array([[0.5], [-2.0]], dtype=np.float32), readings)
    assert results == [Regression(0.5, readings[0]), Regression(-2.0, readings[1])]


def test_windows_count_by_their_tokens() -> None:
    merged = TASK.merge(np.array([[4.0], [0.0]], dtype=np.float32), np.array([10, 30], dtype=np.float32))
    assert merged.tolist() == [1.0]
    assert merged.dtype == np.float32


def test_no_row_counts_as_changed() -> None:
    assert TASK.predictions(np.array([[1.0], [2.0]], dtype=np.float32)) == [None, None]


def test_scores_are_those_of_scipy_and_scikit_learn() -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=50).astype(np.float32)
    logits = (targets + random.normal(0, 0.5, 50)).astype(np.float32)[:, None]
    got, wanted = logits[:, 0].astype(np.float64), targets.astype(np.float64)
    expected = {
        "spearman": stats.spearmanr(got, wanted).statistic,
        "pearson": stats.pearsonr(got, wanted).statistic,
        "mae": mean_absolute_error(wanted, got),
        "rmse": root_mean_squared_error(wanted, got),
    }
    assert TASK.scores(logits, targets) == pytest.approx(expected)
    assert TASK.score(logits, targets) == pytest.approx(expected[TASK.metric])


def test_calibration_changes_nothing() -> None:
    assert TASK.calibrated(np.zeros((3, 1), np.float32), np.zeros(3)) == TASK
