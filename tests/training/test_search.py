from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from limbeck.training.place import Evaluation
from limbeck.training.plan import Plan
from limbeck.training.search import Choice, Ranges, Trial, best_of, next_candidate, ranges_around

RANGES = Ranges((1e-5, 1e-3), (16, 32), (2, 6))
GRID = (Choice(1e-5, 16, 2), Choice(1.23456e-4, 32, 2))


def evaluations(*scores: float) -> list[Evaluation]:
    """Scores after 10, 20, … steps."""
    return [Evaluation(10 * n, float(n), 0.5, score) for n, score in enumerate(scores, start=1)]


def tried(scores: Sequence[float], seed: int = 0) -> list[Trial]:
    """The trials that TPE suggests one after another, each complete with such a score after two tenths."""
    trials: list[Trial] = []
    for score in scores:
        choice = next_candidate(RANGES, trials, seed=seed).choice
        course = {1: score - 0.1, 2: score}
        trials.append(Trial(len(trials) + 1, choice, "complete", score, 1.0, "fp32", course))
    return trials


def test_ranges_lie_around_the_plan() -> None:
    assert ranges_around(Plan(epochs=3, batch=32, learning_rate=1e-4)) == Ranges((2.5e-5, 4e-4), (16, 32, 64), (2, 5))
    assert ranges_around(Plan(epochs=1, batch=1, learning_rate=0.5)) == Ranges((0.125, 1.0), (1, 2), (2, 4))


def test_a_grid_is_gone_through_in_order_as_given() -> None:
    first = next_candidate(GRID, [], seed=0).choice
    second = next_candidate(GRID, [Trial(1, first, "pruned", 0.5, 1.0, "fp32", {5: 0.5})], seed=0).choice
    assert (first, second) == GRID


def test_the_same_trials_give_the_same_next_one() -> None:
    scores = [0.5, 0.6, 0.7, 0.65, 0.8, 0.75, 0.55]
    trials = tried(scores)
    assert [t.choice for t in tried(scores)] == [t.choice for t in trials]
    assert [t.choice for t in tried(scores, seed=1)] != [t.choice for t in trials]
    for choice in (t.choice for t in trials):
        assert 1e-5 <= choice.learning_rate <= 1e-3
        assert choice.learning_rate == float(f"{choice.learning_rate:.3g}")
        assert choice.batch in (16, 32)
        assert 2 <= choice.epochs <= 6


def test_tpe_looks_where_trials_were_good() -> None:
    rates = np.geomspace(1e-5, 1e-3, 12)

    def suggested(sign: int) -> float:
        """The mean logarithm of the rates suggested where the highest (1) or the lowest (-1) rates were the best."""
        trials = [
            Trial(n, Choice(float(rate), 16, 3), "complete", sign * n / 12, 1.0, "fp32", {10: sign * n / 12})
            for n, rate in enumerate(rates, start=1)
        ]
        found = [next_candidate(RANGES, trials, seed=seed).choice.learning_rate for seed in range(8)]
        return float(np.log(found).mean())

    assert suggested(1) > suggested(-1) + 1


def test_the_best_is_the_first_complete_one_of_the_highest_score() -> None:
    trials = tried([0.5, 0.9, 0.9])
    trials.append(Trial(4, trials[0].choice, "pruned", 1.0, 1.0, "fp32", {1: 1.0}))
    assert best_of(trials).number == 2


@pytest.mark.parametrize(("score", "below"), [(0.59, True), (0.61, False)])
def test_a_trial_is_hopeless_below_the_median_at_an_equal_share(score: float, below: bool) -> None:
    candidate = next_candidate(RANGES, tried([0.6, 0.7, 0.8]), seed=0)
    assert candidate.hopeless(evaluations(score), steps=100) is below  # 0.5, 0.6 and 0.7 after a tenth
    assert candidate.course == {1: score}


def test_fewer_than_three_trials_and_the_last_evaluation_condemn_nothing() -> None:
    assert not next_candidate(RANGES, tried([0.6, 0.7]), seed=0).hopeless(evaluations(0.1), steps=100)
    assert not next_candidate(RANGES, tried([0.6, 0.7, 0.8]), seed=0).hopeless(evaluations(0.1), steps=10)


def test_a_course_holds_the_score_of_the_evaluation_before_each_tenth() -> None:
    candidate = next_candidate(GRID, [], seed=0)
    for count in (1, 2, 2, 3):  # what was seen before is not taken twice
        candidate.hopeless(evaluations(0.5, 0.4, 0.7)[:count], steps=30)
    assert candidate.course == {4: 0.5, 5: 0.5, 6: 0.5, 7: 0.4, 8: 0.4, 9: 0.4, 10: 0.7}
    often = next_candidate(GRID, [], seed=0)
    often.hopeless(evaluations(0.1, 0.2, 0.3), steps=300)
    assert often.course == {1: 0.1}  # the first of several within one tenth
