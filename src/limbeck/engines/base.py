"""The one thing every engine does, and running it over many rows without waste."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from limbeck.engines.settings import DEFAULT, Settings
from limbeck.text import Tokens, pad, padded_length, token_batches

Arrays = Mapping[str, NDArray[np.int64]]


class Engine(Protocol):
    """A loaded model."""

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """Logits `[batch, outputs]` from int64 `input_ids`, `attention_mask`, `token_type_ids` `[batch, length]`.

        A model that tags words gives logits of every token, `[batch, length, outputs]`. An input that the model does
        not take is left alone.
        """


def compute_logits(
    run: Callable[[Arrays], NDArray[np.float32]],
    rows: Sequence[Tokens],
    *,
    pad_id: int,
    max_tokens: int,
    settings: Settings = DEFAULT,
    on_batch: Callable[[int], None] = lambda rows: None,
) -> NDArray[np.float32]:
    """Logits `[rows, outputs]` in the order of `rows`, computed in batches of like length, equal rows once.

    Of rows with units those of each unit, as `per_unit` gives them.
    """
    if len(rows) == 1:  # what arranges many would take a tenth of the time of one
        alone = _answer(run, rows, pad_id, max_tokens, settings, most_units(rows))
        on_batch(1)
        return alone
    distinct, answered_by = _distinct(rows)
    stand_for = np.bincount(answered_by)
    logits: NDArray[np.float32] | None = None
    for indices, answer in _answers(run, distinct, pad_id, max_tokens, settings):
        if logits is None:
            logits = np.empty((len(distinct), *answer.shape[1:]), dtype=np.float32)
        logits[indices] = answer
        on_batch(int(stand_for[indices].sum()))
    if logits is None:
        return np.empty((0, 0), dtype=np.float32)
    return logits if len(distinct) == len(rows) else logits[answered_by]


def _distinct(rows: Sequence[Tokens]) -> tuple[list[Tokens], NDArray[np.int64]]:
    """The rows without those that repeat another, and for each row the place of the one that answers it."""
    places: dict[tuple[bytes, ...], int] = {}
    distinct: list[Tokens] = []
    answered_by = np.empty(len(rows), dtype=np.int64)
    for i, row in enumerate(rows):
        units = b"" if row.units is None else row.units.positions.tobytes()
        same = (row.input_ids.tobytes(), row.token_type_ids.tobytes(), units)
        answered_by[i] = places.setdefault(same, len(distinct))
        if answered_by[i] == len(distinct):
            distinct.append(row)
    return distinct, answered_by


def _answers(
    run: Callable[[Arrays], NDArray[np.float32]],
    rows: Sequence[Tokens],
    pad_id: int,
    max_tokens: int,
    settings: Settings,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Places of rows with their logits, a batch at a time, the longest rows first."""
    width = most_units(rows)

    def answer(indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return indices, _answer(run, [rows[i] for i in indices], pad_id, max_tokens, settings, width)

    batches = token_batches(
        [len(row) for row in rows],
        budget_tokens=settings.budget_tokens,
        max_length=max_tokens,
        round_to=settings.round_to,
        batch_cost=settings.batch_cost,
    )
    if settings.streams == 1:
        yield from map(answer, batches)
        return
    with ThreadPoolExecutor(settings.streams) as pool:
        yield from pool.map(answer, batches)


def _answer(
    run: Callable[[Arrays], NDArray[np.float32]],
    batch: Sequence[Tokens],
    pad_id: int,
    max_tokens: int,
    settings: Settings,
    width: int,
) -> NDArray[np.float32]:
    """Logits of a batch, the longest row first; `width` is that of the units, of all batches."""
    length = padded_length(len(batch[0]), limit=max_tokens, round_to=settings.round_to)
    return per_unit(run(pad(batch, pad_id=pad_id, length=length)), batch, width)


def most_units(rows: Sequence[Tokens]) -> int:
    """The largest number of units that a row has; 0 where rows have none."""
    return max((len(row.units.positions) for row in rows if row.units is not None), default=0)


def per_unit(logits: NDArray[np.float32], rows: Sequence[Tokens], width: int) -> NDArray[np.float32]:
    """Logits of every token as those of each unit's first piece, `[batch, width, outputs]`, -inf after the last unit.

    Logits `[batch, outputs]` come back as they are.
    """
    if logits.ndim == 2:
        return logits
    found = np.full((len(rows), width, logits.shape[2]), -np.inf, dtype=np.float32)
    for i, row in enumerate(rows):
        if row.units is not None:
            found[i, : len(row.units.positions)] = logits[i, row.units.positions]
    return found
