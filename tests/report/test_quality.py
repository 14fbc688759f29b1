from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from limbeck.report.quality import confused_pairs, confusion, per_label, reliability

LABELS = ("a", "b", "c", "d")


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 4, 200), random.integers(0, 3, 200)  # no row is labelled d


def test_per_label_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    given, wanted = random.random((100, 4)) < 0.4, random.random((100, 4)) < 0.3
    expected = precision_recall_fscore_support(wanted, given, zero_division=0)
    found = {q.label: (q.precision, q.recall, q.f1, q.support) for q in per_label(LABELS, given, wanted)}
    for i, label in enumerate(LABELS):
        assert found[label] == pytest.approx(tuple(values[i] for values in expected))


def test_labels_come_best_first_and_those_without_rows_last() -> None:
    wanted = np.array([[1, 0, 1, 0], [1, 1, 0, 0]], bool)
    given = np.array([[1, 0, 0, 1], [1, 0, 0, 0]], bool)
    found = per_label(LABELS, given, wanted, thresholds=(0.1, 0.2, 0.3, 0.4))
    assert [q.label for q in found] == ["a", "b", "c", "d"]
    assert found[-1].given == 1
    assert [q.threshold for q in found] == [0.1, 0.2, 0.3, 0.4]


def test_confusion_is_that_of_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, targets = answers
    np.testing.assert_array_equal(confusion(predicted, targets, 4), confusion_matrix(targets, predicted))


def test_confused_pairs_are_the_largest_cells_off_the_diagonal() -> None:
    matrix = np.array([[9, 1, 0], [4, 4, 2], [0, 0, 5]])
    first, second, third = confused_pairs(("a", "b", "c"), matrix)
    assert (first.true, first.predicted, first.rows, first.share) == ("b", "a", 4, 0.4)
    assert (second.true, second.predicted) == ("b", "c")
    assert (third.true, third.predicted, third.rows) == ("a", "b", 1)


def test_expected_calibration_error_by_hand() -> None:
    # Two rows at 0.9, one right; two at 0.6, both right: (2 * |0.9 - 0.5| + 2 * |0.6 - 1|) / 4.
    found = reliability(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, False, True, True]))
    assert found.expected_error == pytest.approx(0.4)
    assert found.rows.tolist() == [2, 2]
    assert np.all((found.low <= found.accuracy) & (found.accuracy <= found.high))


def test_a_confidence_of_one_has_a_bin() -> None:
    found = reliability(np.array([1.0, 1.0]), np.array([True, True]))
    assert found.rows.tolist() == [2]
    assert found.expected_error == 0
