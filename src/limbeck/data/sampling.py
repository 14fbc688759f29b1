"""A part of a dataset, or of its rows, that is the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from limbeck.data.records import Dataset

T = TypeVar("T")
JUDGED_ROWS = 2_000  # dev and held-out rows that a training and a certificate read at most, unless asked for more


def at_most(dataset: Dataset, rows: int | None) -> Dataset:
    """At most `rows` rows drawn evenly, the same ones every time and in their order; None takes all."""
    if rows is None or len(dataset) <= rows:
        return dataset
    return dataset.select(np.sort(np.random.default_rng(0).permutation(len(dataset))[:rows]).tolist())


def evenly(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, spread evenly over all of them, in their order."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]
