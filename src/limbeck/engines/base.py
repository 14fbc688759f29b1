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

        An input that the model does not take is left alone.
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
    """Logits `[rows, outputs]` in the order of `rows`, computed in batches of like length."""
    logits: NDArray[np.float32] | None = None
    lengths = [len(row) for row in rows]
    for indices, arrays in _padded_batches(rows, lengths, pad_id, max_tokens, budget_tokens):
        answer = run(arrays)
        if logits is None:
            logits = np.empty((len(rows), answer.shape[1]), dtype=np.float32)
        logits[indices] = answer
        on_batch(len(indices))
    return np.empty((0, 0), dtype=np.float32) if logits is None else logits


def _padded_batches(
    rows: Sequence[Tokens], lengths: Sequence[int], pad_id: int, max_tokens: int, budget_tokens: int
) -> Iterator[tuple[NDArray[np.int64], Arrays]]:
    for indices in token_batches(lengths, budget_tokens=budget_tokens, max_length=max_tokens):
        length = padded_length(lengths[indices[0]], limit=max_tokens)
        yield indices, pad([rows[i] for i in indices], pad_id=pad_id, length=length)
