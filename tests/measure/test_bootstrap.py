from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import CheckFailed, UsageError
from limbeck.measure import Interval, paired_bootstrap
from limbeck.measure.bootstrap import IndexArray


def test_no_interval_where_both_agree() -> None:
    correct = np.array([True, False, True, True])

    def metric(indices: IndexArray) -> tuple[float, float]:
        accuracy = float(correct[indices].mean())
        return accuracy, accuracy

    assert paired_bootstrap(metric, 4) == Interval(0.0, 0.0)


def test_a_constant_difference_is_its_own_interval() -> None:
    assert paired_bootstrap(lambda _: (0.75, 0.5), 10, resamples=20) == Interval(0.25, 0.25)


def test_matches_the_normal_approximation() -> None:
    # 60 of 1,000 rows lost: the difference of accuracies is 0.06 with deviation sqrt(0.06 * 0.94 / 1000).
    reference = np.ones(1000)
    variant = np.ones(1000)
    variant[:60] = 0

    def metric(indices: IndexArray) -> tuple[float, float]:
        return float(reference[indices].mean()), float(variant[indices].mean())

    interval = paired_bootstrap(metric, 1000, resamples=2000)
    assert interval.low == pytest.approx(0.06 - 1.96 * 0.00751, abs=0.002)
    assert interval.high == pytest.approx(0.06 + 1.96 * 0.00751, abs=0.002)


def test_percentiles_of_the_resamples() -> None:
    drops = iter(range(101))
    interval = paired_bootstrap(lambda _: (float(next(drops)), 0.0), 3, resamples=101, confidence=0.9)
    assert (interval.low, interval.high) == pytest.approx((5.0, 95.0))


def test_undefined_resamples_are_left_out() -> None:
    drops = iter([float("nan"), 1.0, 1.0, 1.0])
    assert paired_bootstrap(lambda _: (next(drops), 0.0), 3, resamples=4) == Interval(1.0, 1.0)


def test_mostly_undefined_is_no_interval() -> None:
    with pytest.raises(CheckFailed, match="3 of 3 resamples"):
        paired_bootstrap(lambda _: (float("nan"), 0.0), 5, resamples=3)


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"resamples": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_wrong_arguments(wrong: dict[str, float]) -> None:
    arguments = {"rows": 5, **wrong}
    with pytest.raises(UsageError):
        paired_bootstrap(lambda _: (0.0, 0.0), **arguments)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30), st.integers(0, 99))
def test_bounds_order_and_repeatability(rows: list[tuple[bool, bool]], seed: int) -> None:
    pairs = np.array(rows, dtype=np.float64)

    def metric(indices: IndexArray) -> tuple[float, float]:
        assert indices.shape == (len(rows),)
        assert set(indices) <= set(range(len(rows)))
        reference, variant = pairs[indices].mean(axis=0)
        return float(reference), float(variant)

    interval = paired_bootstrap(metric, len(rows), resamples=25, seed=seed)
    assert -1 <= interval.low <= interval.high <= 1
    assert interval == paired_bootstrap(metric, len(rows), resamples=25, seed=seed)
