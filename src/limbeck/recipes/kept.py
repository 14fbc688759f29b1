"""What teachers make of the training rows, found in the user's cache or put there: answers, and states inside."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import onnxruntime
import torch

from limbeck.console import megabytes, progress_bar, say
from limbeck.distillation.kept import VALUE_BYTES, Kept, keep, kept_file, kept_shape
from limbeck.distillation.kept_states import KeptStates, StatesEngine, compared_states, state_widths
from limbeck.distillation.layer_maps import LayerMap
from limbeck.distillation.wanted import Weights
from limbeck.engines import Engine
from limbeck.nn.model import TextModel
from limbeck.recipes.taught import Read
from limbeck.recipes.teachers import Teacher, name_of
from limbeck.tasks import AnyTask, Embed
from limbeck.training.processes import join


def kept_answers(
    teachers: Sequence[Teacher], width: int, task: AnyTask, read: Read, *, mean: float, scale: float
) -> list[Kept]:
    """Each teacher's answers to the training rows, computed once on each machine; says how large they are before.

    Of an embedder answers are as wide as its hidden states, `width`.
    """
    found = []
    for teacher in teachers:
        by = onnxruntime.__version__ if teacher.variant is not None else torch.__version__
        outputs, of_tokens = width if isinstance(task, Embed) else task.outputs, task.name in ("tag", "answer")
        path = kept_file("answers", (teacher.sha256(), by, repr((mean, scale, of_tokens))), read.learnt.train.rows)
        what = f"answers of {name_of(teacher)}"
        found.append(_kept(what, path, teacher.engine, read, outputs, of_tokens, mean=mean, scale=scale))
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
    path = kept_file("states", (teacher.sha256(), torch.__version__, repr(names)), read.learnt.train.rows)
    what = f"states inside {name_of(teacher)}"
    size = _size(read, sum(widths), of_tokens=True)
    fits = path.is_file() or size < _free(path) / 2
    if not join().on_first(lambda: fits):
        say(f"  {what}: {megabytes(size)}, more than half of what is free for {path.parent}: computed at each step")
        return None
    kept = _kept(what, path, lambda: StatesEngine(master, names), read, sum(widths), of_tokens=True)
    return KeptStates(kept, names, widths, layers)


def _kept(
    what: str,
    path: Path,
    engine: Callable[[], Engine],
    read: Read,
    width: int,
    of_tokens: bool,
    *,
    mean: float = 0.0,
    scale: float = 1.0,
) -> Kept:
    processes, rows = join(), read.learnt.train.rows
    shown = " x ".join(f"{n:,}" for n in kept_shape(rows, width, of_tokens=of_tokens))
    size = megabytes(_size(read, width, of_tokens=of_tokens))
    with processes.first_on_each_machine():
        found = "found at" if path.is_file() else "to be kept at"
        say(f"  {what} to the training rows, {shown} in half precision, {size}: {found} {path}")
        with progress_bar("texts", len(rows)) as update:
            done = 0

            def on_batch(count: int) -> None:
                nonlocal done
                done += count
                update(done, "read by the teacher")

            return keep(
                path,
                engine,
                rows,
                width,
                of_tokens=of_tokens,
                pad_id=read.pad_id,
                mean=mean,
                scale=scale,
                on_batch=on_batch,
            )


def _size(read: Read, width: int, *, of_tokens: bool) -> int:
    values, width = kept_shape(read.learnt.train.rows, width, of_tokens=of_tokens)
    return values * width * VALUE_BYTES


def _free(path: Path) -> int:
    """The bytes that are free where this file would be, some of its folders not yet there."""
    return shutil.disk_usage(next(folder for folder in path.parents if folder.is_dir())).free
