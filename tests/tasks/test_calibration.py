from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from limbeck.tasks.calibration import (
    MIN_POSITIVES,
    binary_cross_entropy,
    cross_entropy,
    fit_temperature,
    fit_thresholds,
    sigmoid,
    softmax,
)
from limbeck.tasks.metrics import f1_per_label

LOGITS = arrays(np.float32, (7, 3), elements=st.floats(-50, 50, width=32))
GRID = np.linspace(0.02, 0.98, 97)


@given(LOGITS)
def test_softmax_and_sigmoid_are_those_of_scipy(logits: NDArray[np.float32]) -> None:
    wide = logits.astype(np.float64)
    np.testing.assert_allclose(softmax(logits), special.softmax(wide, axis=1), atol=1e-12)
    np.testing.assert_allclose(sigmoid(logits), special.expit(wide), atol=1e-12)


def test_huge_logits_overflow_nowhere() -> None:
    huge = np.array([[1e30, -1e30, 0.0]], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise"):
        assert softmax(huge).tolist() == [[1, 0, 0]]
        assert sigmoid(huge).tolist() == [[1, 0, 0.5]]
        assert cross_entropy(huge, np.array([0])) == 0
        assert binary_cross_entropy(huge[:, :2], np.array([[1.0, 0.0]])) == 0


@given(LOGITS, arrays(np.int64, 7, elements=st.integers(0, 2)))
def test_cross_entropy_is_that_of_scikit_learn(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> None:
    small = logits / 5  # scikit-learn clips probabilities below the machine epsilon
    assert cross_entropy(small, targets) == pytest.approx(log_loss(targets, softmax(small), labels=[0, 1, 2]), abs=1e-9)


@given(LOGITS, arrays(np.bool_, (7, 3)))
def test_binary_cross_entropy_is_that_of_scikit_learn(logits: NDArray[np.float32], targets: NDArray[np.bool_]) -> None:
    small = logits / 5
    expected = log_loss(targets.ravel(), sigmoid(small).ravel(), labels=[False, True])
    assert binary_cross_entropy(small, targets.astype(np.float64)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("wanted", [0.3, 1.0, 4.0])
def test_the_temperature_that_spoiled_the_logits_is_found_again(wanted: float) -> None:
    random = np.random.default_rng(0)
    honest = random.normal(0, 2, (4000, 3))
    targets = np.array([random.choice(3, p=p) for p in softmax(honest)])

    def loss(temperature: float) -> float:
        return cross_entropy(honest * wanted / temperature, targets)

    found = fit_temperature(loss, 10**9)
    assert found == pytest.approx(wanted, rel=0.1)
    exact = minimize_scalar(loss, bounds=(0.1, 10), method="bounded")
    assert loss(found) == pytest.approx(exact.fun, abs=1e-6)
    assert found == pytest.approx(exact.x, rel=0.01)


def test_a_few_right_answers_do_not_make_a_model_sure() -> None:
    logits, targets = np.array([[0.4, 0.0], [0.0, 0.3]] * 10), np.array([0, 1] * 10)  # all right, and hardly so

    def loss(temperature: float) -> float:
        return cross_entropy(logits / temperature, targets)

    assert fit_temperature(loss, 10**6) == pytest.approx(0.1, rel=0.05)
    assert 0.2 < fit_temperature(loss, len(targets)) < 1


@pytest.mark.parametrize("sign", [1, -1])
def test_the_temperature_stays_between_a_tenth_and_ten(sign: int) -> None:
    found = fit_temperature(lambda temperature: sign * 1e3 * temperature, 4000)
    assert 0.1 - 1e-9 <= found <= 10 + 1e-9
    assert found == pytest.approx(0.1 if sign > 0 else 10, rel=1e-6)


@st.composite
def judged(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rows, labels = draw(st.integers(10, 24)), draw(st.integers(1, 3))
    hundredths = draw(arrays(np.int64, (rows, labels), elements=st.integers(0, 99)))
    return (hundredths + 0.5) / 100, draw(arrays(np.bool_, (rows, labels)))


@settings(max_examples=150)
@given(judged())
def test_no_threshold_of_the_grid_has_a_better_f1(table: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> None:
    probabilities, targets = table
    assume(targets.sum(axis=0).min() >= MIN_POSITIVES)
    for label, threshold in enumerate(fit_thresholds(probabilities, targets)):
        column, wanted = probabilities[:, label], targets[:, label]
        best = f1_per_label(column[:, None] >= GRID, np.repeat(wanted[:, None], len(GRID), axis=1)).max()
        assert f1_per_label(column[:, None] >= threshold, wanted[:, None]) == pytest.approx(best, abs=1e-9)


def test_two_equally_good_thresholds_are_not_averaged() -> None:
    # F1 is 6/9 with the first three rows given and 12/18 with all twelve, and lower between.
    probabilities = np.array([[0.95], [0.93], [0.91], *[[0.7]] * 6, [0.3], [0.3], [0.3]])
    targets = np.array([[True]] * 3 + [[False]] * 6 + [[True]] * 3)
    (threshold,) = fit_thresholds(probabilities, targets)
    assert f1_per_label(probabilities >= threshold, targets) == pytest.approx(2 / 3)


def test_the_middle_of_a_plateau_is_taken() -> None:
    probabilities = np.array([[0.8]] * 5 + [[0.2]] * 5)
    targets = np.array([[True]] * 5 + [[False]] * 5)
    (threshold,) = fit_thresholds(probabilities, targets)
    assert threshold == pytest.approx(0.505, abs=0.006)


def test_a_rare_label_takes_the_shared_threshold() -> None:
    rows = 40
    targets = np.zeros((rows, 2), dtype=bool)
    targets[:20, 0] = True
    targets[0, 1] = True
    probabilities = np.where(targets, 0.9, 0.1)
    probabilities[0, 1] = 0.3  # alone, the rare label would ask for a threshold under this
    frequent, rare = fit_thresholds(probabilities, targets)
    (shared,) = fit_thresholds(probabilities.reshape(-1, 1), targets.reshape(-1, 1))
    assert rare == shared
    assert 0.1 < frequent < 0.9
    assert math.isfinite(rare)
