"""What is kept of training rows in the user's cache: what teachers answer, what is inside them, and frozen layers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import onnxruntime
import torch

from limbeck.console import megabytes, progress_bar, say
from limbeck.distillation.kept_states import KeptStates, StatesEngine, compared_states, state_widths
from limbeck.distillation.layer_maps import LayerMap
from limbeck.distillation.wanted import Weights
from limbeck.engines import Engine
from limbeck.nn.model import TextModel
from limbeck.recipes.taught import Read
from limbeck.recipes.teachers import Teacher, name_of
from limbeck.tasks import AnyTask, Embed
from limbeck.text import Tokens
from limbeck.training.frozen import Below, frozen_layers, frozen_sha256, tuple_length
from limbeck.training.kept import VALUE_BYTES, Kept, keep, kept_file, kept_shape
from limbeck.training.prepare import TokenizedSplit
from limbeck.training.processes import join


def kept_answers(
    teachers: Sequence[Teacher], width: int, task: AnyTask, read: Read, *, mean: float, scale: float
) -> list[Kept]:
    """Each teacher's answers to the training rows, computed once on each machine; says how large they are before.

    Of an embedder answers are as wide as its hidden states, `width`.
    """
    found, rows = [], read.learnt.train.rows
    for teacher in teachers:
        by = onnxruntime.__version__ if teacher.variant is not None else torch.__version__
        outputs, of_tokens = width if isinstance(task, Embed) else task.outputs, task.name in ("tag", "answer")
        path = kept_file("answers", (teacher.sha256(), by, repr((mean, scale, of_tokens))), rows)
        what = f"answers of {name_of(teacher)} to the training rows"
        found.append(_kept(what, path, teacher.engine, rows, read.pad_id, outputs, of_tokens, mean=mean, scale=scale))
    return found


def kept_states(
    teacher: Teacher, master: TextModel, read: Read, weights: Weights, pairs: LayerMap
) -> KeptStates | None:
    """The states inside the teacher that the objectives compare, as `kept_answers`; None where they compare none.

    None also where they would take more than half of what is free on the disk: then each step computes them.
    """
    layers = master.config.num_hidden_layers
    names = compared_states(weights, pairs, layers)
    if not names:
        return None
    widths = state_widths(master, names)
    rows = read.learnt.train.rows
    path = kept_file("states", (teacher.sha256(), torch.__version__, repr(names)), rows)
    what = f"states inside {name_of(teacher)} on the training rows"
    if not _fits(what, path, rows, sum(widths)):
        return None
    kept = _kept(what, path, lambda: StatesEngine(master, names), rows, read.pad_id, sum(widths), of_tokens=True)
    return KeptStates(kept, names, widths, layers)


def keep_frozen(model: TextModel, split: TokenizedSplit, pad_id: int) -> TokenizedSplit:
    """The training rows with what the frozen layers give for them, as `kept_states`; as they were where none is frozen.

    Frozen layers know no dropout then.
    """
    layers = len(frozen_layers(model))
    if not layers:
        return split
    width, names = model.config.hidden_size, [("hidden", layers)]
    path = kept_file("frozen", (frozen_sha256(model), torch.__version__, repr(names)), split.rows)
    what = f"states of the training rows above {layers} frozen layers"
    if not _fits(what, path, split.rows, width):
        return split
    model.to(join().device)
    kept = _kept(what, path, lambda: StatesEngine(model, names), split.rows, pad_id, width, of_tokens=True)
    return replace(split, below=Below(kept, layers, tuple_length(model)))


def _fits(what: str, path: Path, rows: Sequence[Tokens], width: int) -> bool:
    """Whether there is room for states of tokens; says so where there is not."""
    size = _size(rows, width, of_tokens=True)
    if join().on_first(lambda: path.is_file() or size < _free(path) / 2):
        return True
    say(f"  {what}: {megabytes(size)}, more than half of what is free for {path.parent}: computed at each step")
    return False


def _kept(
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
    processes = join()
    shown = " x ".join(f"{n:,}" for n in kept_shape(rows, width, of_tokens=of_tokens))
    size = megabytes(_size(rows, width, of_tokens=of_tokens))
    with processes.first_on_each_machine():
        found = "found at" if path.is_file() else "to be kept at"
        say(f"  {what}, {shown} in half precision, {size}: {found} {path}")
        with progress_bar("texts", len(rows)) as update:
            done = 0

            def on_batch(count: int) -> None:
                nonlocal done
                done += count
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
