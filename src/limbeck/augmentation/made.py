"""Made rows: every method over every training row, and what is dropped of that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from limbeck.augmentation.sampling import Chance, OnDone
from limbeck.augmentation.words import Marked
from limbeck.data import Dataset, Splits
from limbeck.data.carve import row_keys, text_key
from limbeck.tasks import Span

Method = Literal["synonyms", "insert", "delete", "swap", "masked", "back-translation", "tinybert"]
METHODS: tuple[Method, ...] = ("synonyms", "insert", "delete", "swap", "masked", "back-translation", "tinybert")
Sides = Literal["both", "first", "second"]
Make = Callable[[Sequence[Marked], Chance, OnDone], list[Marked | None]]


@dataclass(frozen=True, slots=True)
class MadeRow:
    """A row made of the training row at `source`."""

    source: int
    method: Method
    text: Marked
    pair: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What came of one method's attempts: the rows that were made, and those dropped by reason."""

    attempts: int
    seconds: float
    made: int = 0
    nothing_to_change: int = 0
    """No word may be changed or has synonyms, or no translation came to an end; of a pair on both sides."""
    unchanged: int = 0
    """Equal to the row it was made of."""
    repeated: int = 0
    """Equal to another training row, or to one made before."""
    held_out: int = 0
    """Equal to a dev or test row: it would tell the answer."""


@dataclass(frozen=True, slots=True)
class Made:
    """All made rows, in the order of the rows they were made of, and the counts of each method."""

    rows: list[MadeRow]
    counts: Mapping[Method, Counts]


def make_rows(
    splits: Splits,
    makers: Mapping[Method, Make],
    *,
    copies: int,
    sides: Sides,
    seed: int,
    progress: Callable[[Method], OnDone],
) -> Made:
    """`copies` rows of each method for each training row, less what is dropped.

    Texts that differ only in case and white space are equal here, as they are where splits are carved.

    Args:
        splits: only the training rows are made into more; the others are looked at so that none is made again.
        makers: the methods.
        copies: how often each is applied to a row.
        sides: which texts of a pair are changed; the other stays as it is.
        seed: of everything random.
        progress: for a method, what is told how many of its texts are done.
    """
    train = splits.train
    held_out = {*row_keys(splits.dev), *row_keys(splits.test)}
    own = row_keys(train)
    seen = set(own)
    rows: list[MadeRow] = []
    counts: dict[Method, Counts] = {}
    for method, make in makers.items():
        found = dict.fromkeys(("made", "nothing_to_change", "unchanged", "repeated", "held_out"), 0)
        start = time.monotonic()
        attempts = _attempts(train, method, make, copies, sides, seed, progress(method))
        seconds = time.monotonic() - start
        for row in attempts:
            if row is None:
                found["nothing_to_change"] += 1
                continue
            key = text_key(row.text.text, row.pair)
            reason = _reason(key, own[row.source], seen, held_out)
            found[reason] += 1
            if reason == "made":
                seen.add(key)
                rows.append(row)
        counts[method] = Counts(len(attempts), seconds, **found)
    rows.sort(key=lambda row: row.source)
    return Made(rows, counts)


def _reason(key: bytes, own: bytes, seen: set[bytes], held_out: set[bytes]) -> str:
    if key == own:
        return "unchanged"
    if key in held_out:
        return "held_out"
    return "repeated" if key in seen else "made"


def _attempts(
    train: Dataset, method: Method, make: Make, copies: int, sides: Sides, seed: int, on_done: OnDone
) -> list[MadeRow | None]:
    """What the method makes of each training row, `copies` times; None where it could change nothing."""
    sources = [i for i in range(len(train)) for _ in range(copies)]
    entities = [_spans(train, i) for i in range(len(train))]
    first: list[Marked | None] = [None] * len(sources)
    second: list[Marked | None] = [None] * len(sources)
    if train.pairs is None or sides != "second":
        first = make([Marked(train.texts[i], entities[i]) for i in sources], _chance(seed, method, 0, copies), on_done)
    if train.pairs is not None and sides != "first":
        before = len(sources) if sides == "both" else 0
        others = [Marked(train.pairs[i]) for i in sources]
        second = make(others, _chance(seed, method, 1, copies), lambda done: on_done(before + done))
    attempts: list[MadeRow | None] = []
    for i, text, other in zip(sources, first, second, strict=True):
        if text is None and other is None:
            attempts.append(None)
            continue
        unchanged = train.pairs[i] if train.pairs is not None else None
        attempts.append(
            MadeRow(i, method, text or Marked(train.texts[i], entities[i]), other.text if other else unchanged)
        )
    return attempts


def _chance(seed: int, method: Method, side: int, copies: int) -> Chance:
    """Chance by row and copy, so that neither batches, nor other methods, nor more copies change what one draws."""

    def generator(index: int) -> Generator:
        return np.random.default_rng([seed, METHODS.index(method), side, *divmod(index, copies)])

    return generator


def _spans(train: Dataset, index: int) -> tuple[Span, ...]:
    label = train.labels[index]
    return tuple(item for item in label if not isinstance(item, str)) if isinstance(label, tuple) else ()
