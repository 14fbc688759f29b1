"""What a teacher makes of the training rows, computed once and kept on disk in half precision."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.engines import Engine
from limbeck.engines.settings import BATCH_COST, BUDGET_TOKENS
from limbeck.errors import CheckFailed
from limbeck.files import remove_unused, replace_when_written, user_cache
from limbeck.text import Tokens, pad, padded_length, token_batches

VALUE_BYTES = np.dtype(np.float16).itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """`values` `[rows, width]`; or those of tokens, `[tokens, width]`, and `starts` `[rows + 1]`, where rows begin."""

    values: NDArray[np.float16]
    starts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.values) if self.starts is None else len(self.starts) - 1

    def read(self, rows: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        """`[rows, width]`, or of tokens `[rows, length, width]`, which are 0 behind the end of a row."""
        if self.starts is None:
            return self.values[rows].astype(np.float32)
        found = np.zeros((len(rows), length, self.values.shape[1]), np.float32)
        for place, row in enumerate(rows):
            part = self.values[self.starts[row] : self.starts[row + 1]]
            found[place, : len(part)] = part
        return found


def kept_file(what: str, made_by: Sequence[str], rows: Sequence[Tokens]) -> Path:
    """Where `what` is kept in the user's cache, by what it was `made_by` and the token ids of the rows."""
    digest = hashlib.sha256(repr(tuple(made_by)).encode())
    for row in rows:
        digest.update(len(row).to_bytes(4, "little"))
        digest.update(np.ascontiguousarray(row.input_ids).tobytes())
        digest.update(np.ascontiguousarray(row.token_type_ids).tobytes())
    return user_cache() / "kept" / f"{what}-{digest.hexdigest()}.npy"


def kept_shape(rows: Sequence[Tokens], width: int, *, of_tokens: bool) -> tuple[int, int]:
    """The shape of the values to keep."""
    return sum(map(len, rows)) if of_tokens else len(rows), width


def keep(
    path: Path,
    engine: Callable[[], Engine],
    rows: Sequence[Tokens],
    width: int,
    *,
    of_tokens: bool,
    pad_id: int,
    mean: float = 0.0,
    scale: float = 1.0,
    on_batch: Callable[[int], None],
) -> Kept:
    """What is at `path`, computed if it is not there, mapped from disk and not read into memory.

    It is kept as standard scores, `(what the engine gives - mean) / scale`. `on_batch` hears of the
    tokens of each batch.

    Raises `CheckFailed` for what are no finite numbers in half precision.
    """
    starts = np.cumsum([0, *map(len, rows)]) if of_tokens else None
    if not path.is_file():
        shape = kept_shape(rows, width, of_tokens=of_tokens)
        with replace_when_written(path) as beside:
            found: NDArray[np.float16] = np.lib.format.open_memmap(beside, mode="w+", dtype=np.float16, shape=shape)
            _fill(Kept(found, starts), engine(), rows, pad_id, mean, scale, on_batch)
            found.flush()  # type: ignore[attr-defined]
    mapped: NDArray[np.float16] = np.load(path, mmap_mode="r")
    os.utime(path)
    return Kept(mapped, starts)


def forget_unused(folder: Path) -> None:
    """Remove what no training has asked for in a long time, and what killed ones left: states take gigabytes."""
    remove_unused((*folder.glob("*.npy"), *folder.glob(".*.partial")))


def _fill(
    kept: Kept,
    engine: Engine,
    rows: Sequence[Tokens],
    pad_id: int,
    mean: float,
    scale: float,
    on_batch: Callable[[int], None],
) -> None:
    lengths = [len(row) for row in rows]
    longest = max(lengths)
    for indices in token_batches(lengths, budget_tokens=BUDGET_TOKENS, max_length=longest, batch_cost=BATCH_COST):
        width = padded_length(lengths[indices[0]], limit=longest)
        given = (engine.run(pad([rows[i] for i in indices], pad_id=pad_id, length=width)) - mean) / scale
        for index, values in zip(indices, given.astype(np.float16), strict=True):
            if kept.starts is not None:
                values = values[: lengths[index]]
            if not np.isfinite(values).all():
                raise CheckFailed(
                    "what is to be kept are no finite numbers in half precision: train the model that gives them again"
                )
            if kept.starts is None:
                kept.values[index] = values
            else:
                kept.values[kept.starts[index] : kept.starts[index + 1]] = values
        on_batch(sum(lengths[i] for i in indices))
