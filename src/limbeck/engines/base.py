"""The one thing every engine does, and running it over many rows without waste."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from limbeck.text import Tokens, pad, padded_length, token_batches

BUDGET_TOKENS = 4096  # of a batch, padding included: measured best between 2,048 and 8,192 on two cores

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
    budget_tokens: int = BUDGET_TOKENS,
    on_batch: Callable[[int], None] = lambda rows: None,
) -> NDArray[np.float32]:
    """Logits `[rows, outputs]` in the order of `rows`, computed in batches of like length.

    Of rows with units those of each unit, as `per_unit` gives them.
    """
    logits: NDArray[np.float32] | None = None
    lengths = [len(row) for row in rows]
    width = most_units(rows)
    for indices, arrays in _padded_batches(rows, lengths, pad_id, max_tokens, budget_tokens):
        answer = per_unit(run(arrays), [rows[i] for i in indices], width)
        if logits is None:
            logits = np.empty((len(rows), *answer.shape[1:]), dtype=np.float32)
        logits[indices] = answer
        on_batch(len(indices))
    return np.empty((0, 0), dtype=np.float32) if logits is None else logits


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


def _padded_batches(
    rows: Sequence[Tokens], lengths: Sequence[int], pad_id: int, max_tokens: int, budget_tokens: int
) -> Iterator[tuple[NDArray[np.int64], Arrays]]:
    for indices in token_batches(lengths, budget_tokens=budget_tokens, max_length=max_tokens):
        length = padded_length(lengths[indices[0]], limit=max_tokens)
        yield indices, pad([rows[i] for i in indices], pad_id=pad_id, length=length)
