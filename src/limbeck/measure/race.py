"""Several ways to do the same work, timed in turn: apart, a busy moment could turn their order around."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

from limbeck.measure.latency import SETTLED_WINDOWS, settled

MOST_TURNS = 7


def race(
    ways: Sequence[Callable[[], int]],
    *,
    most_turns: int = MOST_TURNS,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Rows a second of each way; a way does some work when called and returns how many rows it was.

    Every turn runs each way once, until the last three turns of each agree within 5 %, and at most `most_turns`; no
    fourth turn begins after `seconds`. The rate is the median of the last three turns where these agree, else of all.
    One turn goes before, unmeasured, for what only a first call does.
    """
    rates: list[list[float]] = [[] for _ in ways]
    begin = clock()
    for way in ways:
        way()
    for turn in range(most_turns):
        enough = all(settled(found) for found in rates) or clock() - begin > seconds
        if turn >= SETTLED_WINDOWS and enough:
            break
        for way, found in zip(ways, rates, strict=True):
            start = clock()
            rows = way()
            found.append(rows / (clock() - start))
    return [statistics.median(found[-SETTLED_WINDOWS:] if settled(found) else found) for found in rates]
