from __future__ import annotations

import numpy as np

from limbeck.measure.contest import Entrant, standings


def accuracy(evidence: np.ndarray) -> float:
    return float(evidence.mean())


def right(share: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).uniform(size=(400, 1)) < share).astype(np.float64)


def test_all_are_compared_with_one_on_the_same_rows() -> None:
    ours = right(0.8, 0)
    entrants = [Entrant("better", np.maximum(ours, right(0.5, 1)), 7, {}), Entrant("ours", ours, 5, {})]
    better, same = standings(entrants, accuracy, compared_with="ours")
    assert (same.ahead_points, same.ahead_low, same.ahead_high) == (0, 0, 0)
    assert better.score == accuracy(entrants[0].evidence)
    assert better.ahead_points == 100 * (better.score - same.score)
    assert 0 < better.ahead_low < better.ahead_points < better.ahead_high
    assert (better.parameters, same.parameters) == (7, 5)


def test_models_alike_are_not_told_apart() -> None:
    found = standings(
        [Entrant("a", right(0.8, 2), 1, {}), Entrant("b", right(0.8, 3), 1, {})], accuracy, compared_with="b"
    )
    assert found[0].ahead_low < 0 < found[0].ahead_high
