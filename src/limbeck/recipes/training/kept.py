"""What is computed of training rows once and kept in the user's cache; of `train` that is what frozen layers give."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from limbeck.console import megabytes, progress_bar, say
from limbeck.distillation.kept_states import StatesEngine
from limbeck.engines import Engine
from limbeck.nn.model import TextModel
from limbeck.text import Tokens
from limbeck.training.frozen import Below, frozen_layers, frozen_sha256, tuple_length
from limbeck.training.kept import VALUE_BYTES, Kept, forget_unused, keep, kept_file, kept_shape
from limbeck.training.prepare import TokenizedSplit
from limbeck.training.processes import join


def keep_frozen(model: TextModel, split: TokenizedSplit, pad_id: int) -> TokenizedSplit:
    """The training rows with what the frozen layers give for them; as they were where none is frozen.

    Frozen layers know no dropout then.
    """
    layers = len(frozen_layers(model))
    if not layers:
        return split
    width, names = model.config.hidden_size, [("hidden", layers)]
    path = kept_file("frozen", (frozen_sha256(model), torch.__version__, repr(names)), split.rows)
    what = f"states of the training rows above {layers} frozen layers"
    if not fits(what, path, split.rows, width):
        return split
    model.to(join().device)
    kept = kept_rows(what, path, lambda: StatesEngine(model, names), split.rows, pad_id, width, of_tokens=True)
    return replace(split, below=Below(kept, layers, tuple_length(model)))


def fits(what: str, path: Path, rows: Sequence[Tokens], width: int) -> bool:
    """Whether there is room for states of tokens, old ones having made some; says so where there is not."""
    size = _size(rows, width, of_tokens=True)
    join().on_first(lambda: forget_unused(path.parent))
    if join().on_first(lambda: path.is_file() or size < _free(path) / 2):
        return True
    say(f"  {what}: {megabytes(size)}, more than half of what is free for {path.parent}: computed at each step")
    return False


def kept_rows(
    what: str,
    path: Path,
    engine: Callable[[], Engine],
    rows: Sequence[Tokens],
    pad_id: int,
    width: int,
    of_tokens: bool,
    *,
    mean: float = 0.0,
    scale: float = 1.0,
) -> Kept:
    """What an engine gives for rows, or `of_tokens` for each of their tokens; says how large it is before.

    Computed once on each machine; for the arguments see `keep`.
    """
    processes = join()
    shown = " x ".join(f"{n:,}" for n in kept_shape(rows, width, of_tokens=of_tokens))
    size = megabytes(_size(rows, width, of_tokens=of_tokens))
    with processes.first_on_each_machine():
        found = "found at" if path.is_file() else "to be kept at"
        say(f"  {what}, {shown} in half precision, {size}: {found} {path}")
        # Tokens, not texts: the longest come first, and the time left would seem more than it is.
        with progress_bar("tokens", sum(map(len, rows))) as update:
            done = 0

            def on_batch(tokens: int) -> None:
                nonlocal done
                done += tokens
                update(done, "read")

            return keep(
                path,
                engine,
                rows,
                width,
                of_tokens=of_tokens,
                pad_id=pad_id,
                mean=mean,
                scale=scale,
                on_batch=on_batch,
            )


def _size(rows: Sequence[Tokens], width: int, *, of_tokens: bool) -> int:
    values, width = kept_shape(rows, width, of_tokens=of_tokens)
    return values * width * VALUE_BYTES


def _free(path: Path) -> int:
    """The bytes that are free where this file would be, some of its folders not yet there."""
    return shutil.disk_usage(next(folder for folder in path.parents if folder.is_dir())).free
