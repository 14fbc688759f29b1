from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.bundle import Model
from limbeck.engines.base import Arrays
from limbeck.proving import TIMED_ROWS, TIMED_TOKENS, race_engines, timed_sample
from limbeck.text import Tokens

MODEL = Model(base="b", pooling="cls", max_tokens=16, longest_input=16, pad_id=0, pair=False, parameters=1)


class Recorded:
    """An engine that notes when it runs."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        self.log.append(self.name)
        return np.zeros((len(inputs["input_ids"]), 2), np.float32)


def test_a_race_is_run_in_turn_so_that_a_slow_spell_hits_all() -> None:
    log: list[str] = []
    ids = np.arange(5, dtype=np.int32)
    rows = [Tokens(i, ids, np.zeros(5, np.int8)) for i in range(8)]
    speeds = race_engines([Recorded("a", log), Recorded("b", log)], rows, MODEL, most_turns=3)
    assert log == ["a", "b"] * 4  # one turn warms up
    assert len(speeds) == 2
    assert min(speeds) > 0


def rows_of(lengths: list[int]) -> list[Tokens]:
    return [Tokens(i, np.zeros(n, np.int32), np.zeros(n, np.int8)) for i, n in enumerate(lengths)]


def test_what_is_timed_comes_from_all_over() -> None:
    short = timed_sample(rows_of([5] * 1000 + [15] * 1000))
    assert len(short) == TIMED_ROWS
    assert sum(map(len, short)) == 10 * TIMED_ROWS
    long = timed_sample(rows_of([100] * 1000 + [500] * 1000))
    assert len(long) == TIMED_TOKENS // 300
    assert sum(map(len, long)) == TIMED_TOKENS
    few = rows_of([3, 4])
    assert timed_sample(few) == few
