"""Models side by side on the same rows: what each scores, and how far it is ahead of one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.measure.bootstrap import paired_bootstrap

Evidence = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled variant: its speed in batches of like length, and its size."""

    rows_per_second: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Entrant:
    """A model that was judged: what each row says on the metric, `[rows, n]`, its parameters and its variants.

    `compiled` are its variants by precision, `fp32` or `int8`, where it has any.
    """

    name: str
    evidence: Evidence
    parameters: int
    compiled: dict[str, Compiled]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a model scores, and how far it is ahead of the one in question, in points with the 95 % interval.

    A point is a hundredth of the metric. The one in question is ahead of itself by 0.
    """

    name: str
    score: float
    ahead_points: float
    ahead_low: float
    ahead_high: float
    parameters: int
    compiled: dict[str, Compiled]


def standings(
    entrants: list[Entrant], metric: Callable[[Evidence], float], *, compared_with: str, resamples: int = 1000
) -> list[Standing]:
    """All models, judged on the same rows and compared with the one of that name by a paired bootstrap."""
    ours = next(entrant.evidence for entrant in entrants if entrant.name == compared_with)

    def standing(entrant: Entrant) -> Standing:
        theirs = entrant.evidence
        score = float(metric(theirs))
        ahead = paired_bootstrap(
            lambda rows: (metric(theirs[rows]), metric(ours[rows])), len(ours), resamples=resamples
        )
        return Standing(
            name=entrant.name,
            score=score,
            ahead_points=100 * (score - float(metric(ours))),
            ahead_low=100 * ahead.low,
            ahead_high=100 * ahead.high,
            parameters=entrant.parameters,
            compiled=entrant.compiled,
        )

    return [standing(entrant) for entrant in entrants]
