"""How many steps a plan takes, and when they are evaluated."""

from __future__ import annotations

import pytest

from limbeck.training.plan import Plan, evaluation_interval, steps_per_epoch


@pytest.mark.parametrize(
    ("rows", "batch", "accumulate", "wanted"),
    [(16, 8, 1, 2), (17, 8, 1, 3), (17, 8, 2, 2), (33, 8, 4, 2), (3, 8, 4, 1)],
)
def test_steps_per_epoch(rows: int, batch: int, accumulate: int, wanted: int) -> None:
    assert steps_per_epoch(rows, Plan(epochs=3, batch=batch, learning_rate=1e-3, accumulate=accumulate)) == wanted


@pytest.mark.parametrize(
    ("steps", "wanted"), [(1, 1), (999, 999), (1499, 1499), (1501, 751), (3000, 1000), (5200, 1040)]
)
def test_long_epochs_are_evaluated_about_every_thousand_steps(steps: int, wanted: int) -> None:
    assert evaluation_interval(steps) == wanted
