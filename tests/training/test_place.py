"""A training's place: its evaluations, and what it came to."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from limbeck.nn.precision import PrecisionChoice
from limbeck.training.place import Evaluation, Place


def place_with(*scores: float) -> Place:
    """A place two steps of four rows and half a second each before every one of these evaluations."""
    place = Place("fingerprint", asdict(PrecisionChoice("fp32")))
    for number, score in enumerate(scores, start=1):
        for loss in (0.5, 1.5 * number):
            place.count(loss, rows=4, seconds=0.5)
        place.evaluated(float(number), score)
    return place


def test_the_last_of_equals_is_the_best() -> None:
    place = place_with()
    assert [place.evaluated(1.0, score) for score in (0.5, 0.5, 0.4, 0.6)] == [True, True, False, True]


def test_an_evaluation_has_the_mean_loss_since_the_one_before() -> None:
    assert place_with(0.5, 0.6).done == (Evaluation(2, 1.0, 1.0, 0.5), Evaluation(4, 2.0, 1.75, 0.6))


@pytest.mark.parametrize(
    ("scores", "settled"), [((), False), ((0.5, 0.4), False), ((0.5, 0.5, 0.4), True), ((0.5, 0.4, 0.6), False)]
)
def test_settled_after_two_evaluations_without_a_new_best(scores: tuple[float, ...], settled: bool) -> None:
    assert place_with(*scores).settled(2) is settled


def test_the_outcome_names_the_last_of_the_best_and_whether_steps_were_left() -> None:
    place = place_with(0.5, 0.7, 0.7)
    fit = place.outcome(7)
    assert (fit.best.step, fit.steps, fit.stopped_early, fit.rows_per_second) == (6, 6, True, 8.0)
    assert not place.outcome(6).stopped_early
