"""The student: a smaller encoder, started from the teacher's layers, from these narrowed, from a base or at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from limbeck.distillation.basis import Basis
from limbeck.distillation.layer_maps import middles
from limbeck.distillation.narrowing import narrow, why_not_narrowed
from limbeck.distillation.shapes import Shape, shape_of, student_config
from limbeck.errors import UsageError
from limbeck.nn.model import TextModel, random_model, set_dropout
from limbeck.nn.pruned import has_pruned_heads
from limbeck.tasks import AnyTask

Start = Literal["layers", "svd", "random"]


@dataclass(frozen=True, slots=True)
class Student:
    """A model to be taught. It began as `start`, which is a `Start`, `pruned` or the name of a base.

    `started_from` are the teacher's layers that it began as, with `svd` in the `basis`; none where it began otherwise.
    """

    model: TextModel
    shape: Shape
    start: str
    started_from: tuple[int, ...] = ()
    basis: Basis | None = None


def usual_start(teacher: TextModel, shape: Shape) -> Start:
    """The teacher's layers where their matrices fit, `svd` where the student can be made so, else `random`."""
    if not _unlike_layers(teacher, shape):
        return "layers"
    return "random" if why_not_narrowed(teacher, shape) else "svd"


def check_start(start: Start, teacher: TextModel, shape: Shape) -> None:
    """Raises `UsageError` for a start that a student of this shape cannot have, and for a teacher that lacks heads."""
    if has_pruned_heads(teacher.config):
        raise UsageError(
            "--student: heads of this teacher were removed, so its student can only be it with more removed, as "
            "pruned-2x; or let the bundle that taught it be the teacher"
        )
    if start == "layers" and (unlike := _unlike_layers(teacher, shape)):
        raise UsageError(f"--start layers: {unlike}: take --start svd")
    if start == "svd" and (reason := why_not_narrowed(teacher, shape)) is not None:
        raise UsageError(f"--start svd: {reason}: take another shape, or --start random")


def _unlike_layers(teacher: TextModel, shape: Shape) -> str | None:
    """Why the matrices of the teacher's layers are none of a student's of this shape; heads are only cut otherwise."""
    theirs = shape_of(teacher.config)
    if shape.hidden_size != theirs.hidden_size:
        return f"expected a student as wide as its teacher, {theirs.hidden_size}, and it is {shape.hidden_size} wide"
    if shape.intermediate_size != theirs.intermediate_size:
        units = f"{theirs.intermediate_size:,}, and it has {shape.intermediate_size:,}"
        return f"expected a student with as many feed-forward units as its teacher, {units}"
    return None


def new_student(
    teacher: TextModel,
    task: AnyTask,
    shape: Shape,
    start: Start,
    *,
    dropout: float,
    basis: Callable[[], Basis] | None = None,
) -> Student:
    """A student of `teacher` with its head and its tokenizer's vocabulary.

    `layers` begins as the middle one of each even share of the teacher's layers, with the teacher's embeddings and
    head; `svd` as the same, narrowed to the `basis`, which is asked for then alone; `random` as
    PyTorch's global random state has it. For errors see `check_start`.
    """
    check_start(start, teacher, shape)
    config = student_config(teacher.config, shape)
    set_dropout(config, dropout)
    # HEADS and pooling are the same: the loaders of a bundle take them from its manifest.
    model = random_model(config, task, pooling=teacher.pooling, dropout=dropout)  # type: ignore[arg-type]
    if start == "random":
        return Student(model, shape, start)
    layers = middles(shape.layers, teacher.config.num_hidden_layers)
    if start == "layers":
        copy_layers(teacher, model, layers)
        return Student(model, shape, start, layers)
    if basis is None:
        raise ValueError("svd needs a basis")
    found = basis()
    narrow(teacher, model, layers, found.vectors)
    return Student(model, shape, start, layers, found)


def copy_layers(teacher: TextModel, student: TextModel, layers: tuple[int, ...]) -> None:
    """Give `student` the teacher's `layers`, one for each of its own, and all else that is of the same shape."""
    there = teacher.state_dict()
    prefix = _layers_prefix(teacher)
    with torch.no_grad():
        for name, tensor in student.state_dict().items():
            source = there.get(_renamed(name, prefix, layers))
            if source is not None and source.shape == tensor.shape:
                tensor.copy_(source)


def _layers_prefix(model: TextModel) -> str | None:
    """The name of the list of layers; None where all layers are one and the same, as in ALBERT."""
    lists = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.ModuleList)]
    name, found = max(lists, key=lambda item: len(item[1]))
    return f"{name}." if len(found) == model.config.num_hidden_layers else None


def _renamed(name: str, prefix: str | None, layers: tuple[int, ...]) -> str:
    if prefix is None or not name.startswith(prefix):
        return name
    number, _, rest = name.removeprefix(prefix).partition(".")
    return f"{prefix}{layers[int(number)]}.{rest}"
