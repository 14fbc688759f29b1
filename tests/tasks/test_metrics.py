from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import f1_score

from limbeck.tasks.metrics import f1_of_counts, f1_per_label, macro_f1, one_hot, pearson, spearman

Pair = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@st.composite
def two_tables(draw: st.DrawFn) -> Pair:
    shape = draw(st.tuples(st.integers(1, 20), st.integers(2, 5)))
    return draw(arrays(np.bool_, shape)), draw(arrays(np.bool_, shape))


@st.composite
def two_columns(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    labels = draw(st.integers(2, 5))
    rows = draw(st.integers(1, 30))
    column = arrays(np.int64, rows, elements=st.integers(0, labels - 1))
    return draw(column), draw(column), labels


@st.composite
def two_vectors(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Sixteenths in a small range: many ties, and no cancellation that would tell two correct formulas apart.
    vector = arrays(np.int64, draw(st.integers(2, 40)), elements=st.integers(-80, 80))
    return draw(vector) / 16, draw(vector) / 16


@given(two_tables())
def test_f1_of_label_sets_is_that_of_scikit_learn(tables: Pair) -> None:
    predicted, target = tables
    own = f1_score(target, predicted, average=None, zero_division=0)
    np.testing.assert_allclose(f1_per_label(predicted, target), own, atol=1e-12)
    counts = np.stack([(predicted & target).sum(axis=1), predicted.sum(axis=1), target.sum(axis=1)], axis=1)
    assert f1_of_counts(counts) == pytest.approx(
        f1_score(target, predicted, average="micro", zero_division=0), abs=1e-12
    )


@given(two_columns())
def test_macro_f1_of_classes_is_that_of_scikit_learn(
    columns: tuple[NDArray[np.int64], NDArray[np.int64], int],
) -> None:
    predicted, target, labels = columns
    # Without `labels`, scikit-learn too averages over the classes that occur on either side.
    expected = f1_score(target, predicted, average="macro", zero_division=0)
    assert macro_f1(one_hot(predicted, labels), one_hot(target, labels)) == pytest.approx(expected, abs=1e-12)


def test_f1_is_zero_where_it_is_undefined() -> None:
    nothing = np.zeros((4, 3), dtype=bool)
    assert f1_per_label(nothing, nothing).tolist() == [0, 0, 0]
    assert f1_of_counts(np.zeros((4, 3))) == 0
    assert macro_f1(nothing, nothing) == 0


def test_macro_f1_leaves_out_labels_that_occur_nowhere() -> None:
    table = np.array([[True, False, False], [False, True, False]])
    assert macro_f1(table, table) == 1.0


def test_one_hot() -> None:
    assert one_hot(np.array([2, 0]), 3).tolist() == [[False, False, True], [True, False, False]]


@given(two_vectors())
def test_correlations_are_those_of_scipy(vectors: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    a, b = vectors
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert pearson(a, b) == pytest.approx(0, abs=1e-9)
        assert spearman(a, b) == 0
    else:
        assert pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-9)
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


@given(two_vectors())
def test_spearman_sees_only_the_order(vectors: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    a, b = vectors
    assert spearman(np.exp(a / 8), b) == pytest.approx(spearman(a, b), abs=1e-12)


def test_a_vector_that_is_constant_up_to_rounding_correlates_with_nothing() -> None:
    # The mean of three times 0.1 is not 0.1, so the centred vector is not exactly zero.
    constant = np.full(3, 0.1)
    assert pearson(constant, constant) == 0
    assert pearson(constant, np.array([1.0, 2.0, 4.0])) == 0
    assert spearman(constant, constant) == 0
