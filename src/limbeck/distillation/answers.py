"""The teacher's answers to the training rows, computed once and kept on disk in half precision."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.engines.base import BUDGET_TOKENS, Engine
from limbeck.errors import CheckFailed
from limbeck.files import replace_when_written, user_cache
from limbeck.tasks import AnyTask, Embed
from limbeck.text import Tokens, pad, padded_length, token_batches

Answers = NDArray[np.float16]
"""The teacher's logits of each row, `[rows, outputs]`, or of each of its tokens, `[rows, longest, outputs]`.

Tokens that a row has not are 0.
"""


def answers_shape(width: int, task: AnyTask, rows: Sequence[Tokens]) -> tuple[int, ...]:
    """The shape of the answers to `rows` of a teacher whose hidden states are so wide."""
    if task.name in ("tag", "answer"):
        return len(rows), max(map(len, rows)), task.outputs
    return len(rows), width if isinstance(task, Embed) else task.outputs


def answers_file(made_by: Sequence[str], rows: Sequence[Tokens]) -> Path:
    """Where answers are kept in the user's cache, by what they were `made_by` and the token ids of the rows."""
    digest = hashlib.sha256(repr(tuple(made_by)).encode())
    for row in rows:
        digest.update(len(row).to_bytes(4, "little"))
        digest.update(np.ascontiguousarray(row.input_ids).tobytes())
        digest.update(np.ascontiguousarray(row.token_type_ids).tobytes())
    return user_cache() / "teachers" / f"{digest.hexdigest()}.npy"


def teacher_answers(
    path: Path,
    engine: Callable[[], Engine],
    rows: Sequence[Tokens],
    shape: tuple[int, ...],
    *,
    pad_id: int,
    mean: float,
    scale: float,
    on_batch: Callable[[int], None],
) -> Answers:
    """The answers at `path`, computed if they are not there, mapped from disk and not read into memory.

    They are kept as standard scores, `(logits - mean) / scale`.

    Raises `CheckFailed` for a teacher whose answers are no finite numbers in half precision.
    """
    if not path.is_file():
        with replace_when_written(path) as beside:
            found: Answers = np.lib.format.open_memmap(beside, mode="w+", dtype=np.float16, shape=shape)
            _fill(found, engine(), rows, pad_id, mean, scale, on_batch)
            found.flush()  # type: ignore[attr-defined]
    mapped: Answers = np.load(path, mmap_mode="r")
    os.utime(path)  # the oldest can go first when the cache is cleared
    return mapped


def _fill(
    found: Answers,
    engine: Engine,
    rows: Sequence[Tokens],
    pad_id: int,
    mean: float,
    scale: float,
    on_batch: Callable[[int], None],
) -> None:
    lengths = [len(row) for row in rows]
    longest = max(lengths)
    for indices in token_batches(lengths, budget_tokens=BUDGET_TOKENS, max_length=longest):
        width = padded_length(lengths[indices[0]], limit=longest)
        logits = (engine.run(pad([rows[i] for i in indices], pad_id=pad_id, length=width)) - mean) / scale
        for index, row in zip(indices, logits, strict=True):
            if row.ndim == 2:
                found[index, : lengths[index]] = row[: lengths[index]]
            else:
                found[index] = row
        if not np.isfinite(found[np.sort(indices)]).all():
            raise CheckFailed("the teacher's answers are no finite numbers in half precision: train it again")
        on_batch(len(indices))
