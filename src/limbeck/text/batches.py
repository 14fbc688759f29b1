"""Batches cut by a token budget from rows of like length, so that little is padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.text.tokenizer import Tokens

ROUND_TO = 8  # lengths are padded up to a multiple of this: few distinct shapes keep an engine's memory arena small
FINEST = 16  # no text is padded by more than this part of it


def padded_length(tokens: int, *, limit: int, round_to: int = ROUND_TO) -> int:
    """`tokens` rounded up to a multiple of `round_to`, a power of two, but not beyond `limit`.

    The multiple is smaller for short texts, so that at most a sixteenth is added: 1 below 32 tokens, 2 below 64, ….
    """
    multiple = min(round_to, 1 << max(0, (tokens // FINEST).bit_length() - 1))
    return max(tokens, min(-(-tokens // multiple) * multiple, limit))


def token_batches(
    lengths: Sequence[int],
    *,
    budget_tokens: int,
    max_length: int,
    max_rows: int | None = None,
    round_to: int = ROUND_TO,
    batch_cost: int | None = None,
) -> list[NDArray[np.int64]]:
    """Indices of rows in batches, longest first, each at most `budget_tokens` once padded by `padded_length`.

    Every index occurs once; a row longer than the budget is a batch of its own. Where a further batch costs as much as
    `batch_cost` tokens, rows of one length begin a batch of their own if more tokens would be padded.
    """
    sizes, size_of = np.unique(np.asarray(lengths, dtype=np.int64), return_inverse=True)
    padded = np.array([padded_length(int(size), limit=max_length, round_to=round_to) for size in sizes], dtype=np.int64)
    order = np.argsort(-size_of, kind="stable")
    widths = padded[size_of[order]]
    batches: list[NDArray[np.int64]] = []
    start = 0
    while start < len(order):
        rows = max(1, budget_tokens // int(widths[start]))
        if max_rows is not None:
            rows = min(rows, max_rows)
        if batch_cost is not None:
            rows = _worth_padding(widths[start : start + rows], batch_cost)
        batches.append(order[start : start + rows])
        start += rows
    return batches


def _worth_padding(widths: NDArray[np.int64], batch_cost: int) -> int:
    """How many of these rows, the widest first, to pad to the first one's width."""
    starts = np.flatnonzero(np.diff(widths)) + 1
    counts = np.diff(starts, append=len(widths))
    dear = np.flatnonzero(counts * (widths[0] - widths[starts]) > batch_cost)
    return int(starts[dear[0]]) if len(dear) else len(widths)


def pad(rows: Sequence[Tokens], *, pad_id: int, length: int) -> dict[str, NDArray[np.int64]]:
    """`input_ids`, `attention_mask` and `token_type_ids`, int64 `[rows, length]`, padded on the right."""
    input_ids, attention_mask, token_type_ids = np.zeros((3, len(rows), length), dtype=np.int64)
    input_ids.fill(pad_id)
    for i, row in enumerate(rows):
        input_ids[i, : len(row)] = row.input_ids
        attention_mask[i, : len(row)] = 1
        token_type_ids[i, : len(row)] = row.token_type_ids
    return {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}


def training_batches(
    lengths: Sequence[int], *, batch_rows: int, seed: int, epoch: int, pool_batches: int = 50
) -> list[NDArray[np.int64]]:
    """All rows in batches of `batch_rows` rows of like length, shuffled; the same for the same seed and epoch.

    Rows are shuffled, sorted by length within pools of `pool_batches` batches, cut, and the batches shuffled:
    near-random order with little padding. The last batch of an epoch may be smaller; no row is dropped.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    sizes = np.asarray(lengths, dtype=np.int64)
    pool = batch_rows * pool_batches
    pools = [order[start : start + pool] for start in range(0, len(order), pool)]
    ordered = np.concatenate([p[np.argsort(sizes[p], kind="stable")] for p in pools]) if pools else order
    batches = [ordered[start : start + batch_rows] for start in range(0, len(ordered), batch_rows)]
    return [batches[i] for i in random.permutation(len(batches))]
