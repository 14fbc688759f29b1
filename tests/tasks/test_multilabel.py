from __future__ import annotations

import msgspec
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from limbeck.tasks import AnyTask, MultiLabel, MultiLabelling, Reading
from limbeck.tasks.calibration import binary_cross_entropy, sigmoid

TASK = MultiLabel(("fast", "cheap", "good"))
LOGITS = np.array([[1.0, -2.0, 3.0], [-1.0, -2.0, -3.0]], dtype=np.float32)


def test_encode_takes_label_sets_single_labels_and_none() -> None:
    encoded = TASK.encode([("fast", "good"), (), "cheap"])
    assert encoded.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert encoded.dtype == np.float32


def test_decode_orders_labels_by_probability() -> None:
    first, second = TASK.decode(LOGITS, [Reading(4), Reading(6, 1)])
    assert isinstance(first, MultiLabelling)
    assert isinstance(second, MultiLabelling)
    assert first.labels == ["good", "fast"]
    assert second.labels == []
    assert list(first.scores.items()) == list(zip(TASK.labels, sigmoid(LOGITS[0]).tolist(), strict=True))
    assert second.reading == Reading(6, 1)


def test_a_label_is_given_from_its_threshold_up() -> None:
    task = MultiLabel(TASK.labels, thresholds=(0.5, 0.1, 0.99))
    at_the_threshold = np.array([[0.0, -1.0, 4.0]], dtype=np.float32)  # probabilities 0.5, 0.27, 0.98
    assert task.given(at_the_threshold).tolist() == [[True, True, False]]
    assert task.predictions(at_the_threshold) == ["fast, cheap"]


def test_the_temperature_is_applied_before_the_threshold() -> None:
    task = MultiLabel(TASK.labels, temperature=10.0, thresholds=(0.6, 0.6, 0.6))
    assert TASK.given(LOGITS).tolist()[0] == [True, False, True]
    assert task.given(LOGITS).tolist()[0] == [False, False, False]


def test_one_window_that_shows_a_label_is_enough() -> None:
    windows = np.array([[3.0, -1.0, -1.0], [-2.0, 2.0, -1.0]], dtype=np.float32)
    merged = TASK.merge(windows, np.array([1, 100], dtype=np.float32))
    assert merged.tolist() == [3.0, 2.0, -1.0]
    assert merged.dtype == np.float32


def test_scores_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(size=(60, 3)).astype(np.float32)
    targets = (random.random((60, 3)) < 0.4).astype(np.float32)
    given = logits >= 0
    expected = {
        "micro_f1": f1_score(targets, given, average="micro"),
        "macro_f1": f1_score(targets, given, average="macro"),
        "exact_match": accuracy_score(targets, given),
    }
    assert TASK.scores(logits, targets) == pytest.approx(expected)
    assert TASK.score(logits, targets) == pytest.approx(expected[TASK.metric])


def test_calibration_lowers_the_loss_and_raises_the_metric() -> None:
    random = np.random.default_rng(2)
    honest = random.normal(-1.5, 1.5, (600, 3))  # positives are rarer than 0.5 would give
    targets = (random.random((600, 3)) < sigmoid(honest)).astype(np.float32)
    logits = (2 * honest).astype(np.float32)
    task = TASK.calibrated(logits, targets)
    wide = targets.astype(np.float64)
    assert task.temperature == pytest.approx(2, rel=0.15)
    assert binary_cross_entropy(logits / task.temperature, wide) < binary_cross_entropy(logits, wide)
    assert len(task.thresholds) == 3
    assert all(t < 0.5 for t in task.thresholds)
    assert task.score(logits, targets) > TASK.score(logits, targets)
    assert msgspec.json.decode(msgspec.json.encode(task), type=AnyTask) == task
