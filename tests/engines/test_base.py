from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.engines import Settings, compute_logits
from limbeck.engines.base import Arrays
from limbeck.text import Tokens
from limbeck.text.units import Units


def row(i: int, ids: list[int], units: list[int] | None = None) -> Tokens:
    places = None if units is None else Units(np.array(units), np.arange(len(units)), np.zeros((len(units), 2), int))
    return Tokens(i, np.array(ids, np.int32), np.zeros(len(ids), np.int8), units=places)


class Summing:
    """Answers a row with the sum of its ids, or each token with its id, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Arrays] = []

    def of_rows(self, inputs: Arrays) -> NDArray[np.float32]:
        self.asked.append(inputs)
        return (inputs["input_ids"] * inputs["attention_mask"]).sum(1, keepdims=True).astype(np.float32)

    def of_tokens(self, inputs: Arrays) -> NDArray[np.float32]:
        self.asked.append(inputs)
        return inputs["input_ids"][..., None].astype(np.float32)

    @property
    def rows(self) -> int:
        return sum(len(inputs["input_ids"]) for inputs in self.asked)


@pytest.mark.parametrize("streams", [1, 3])
def test_equal_rows_are_computed_once(streams: int) -> None:
    engine, done = Summing(), list[int]()
    rows = [row(i, [1, i % 4, 2, i % 4]) for i in range(40)]
    settings = Settings(streams=streams, budget_tokens=8)
    logits = compute_logits(engine.of_rows, rows, pad_id=0, max_tokens=16, settings=settings, on_batch=done.append)
    np.testing.assert_array_equal(logits[:, 0], [3 + 2 * (i % 4) for i in range(40)])
    assert engine.rows == 4
    assert sum(done) == 40


def test_rows_of_other_types_or_units_are_others() -> None:
    engine = Summing()
    second = Tokens(1, np.array([5, 6], np.int32), np.array([0, 1], np.int8))
    compute_logits(engine.of_rows, [row(0, [5, 6]), second], pad_id=0, max_tokens=16)
    assert engine.rows == 2
    rows = [row(0, [5, 6], [0]), row(1, [5, 6], [1]), row(2, [5, 6], [0])]
    logits = compute_logits(engine.of_tokens, rows, pad_id=0, max_tokens=16)
    np.testing.assert_array_equal(logits[:, 0, 0], [5, 6, 5])
    assert engine.rows == 4


def test_lengths_are_padded_to_the_multiple_that_is_asked_for() -> None:
    engine = Summing()
    rows = [row(n, [1] * n) for n in range(200, 301)]
    settings = Settings(round_to=8, budget_tokens=3000, batch_cost=10_000)
    compute_logits(engine.of_rows, rows, pad_id=0, max_tokens=300, settings=settings)
    assert {inputs["input_ids"].shape[1] % 8 for inputs in engine.asked[1:]} == {0}
    assert engine.asked[0]["input_ids"].shape[1] == 300
    assert max(inputs["input_ids"].size for inputs in engine.asked) <= 3000


def test_no_rows() -> None:
    assert compute_logits(Summing().of_rows, [], pad_id=0, max_tokens=8).shape == (0, 0)
