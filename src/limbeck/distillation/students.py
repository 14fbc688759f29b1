"""The student: a smaller encoder of the teacher's family, started from the teacher's layers where it is as wide."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from limbeck.distillation.layer_maps import uniform
from limbeck.errors import UsageError
from limbeck.nn.model import TextModel, random_model, set_dropout
from limbeck.tasks import AnyTask

_KEPT = re.compile(r"L(\d+)")
_SIZES = re.compile(r"(\d+)x(\d+)(?:x(\d+)(?:x(\d+))?)?")
# What families call the width of the feed-forward layers.
_INTERMEDIATE = ("intermediate_size", "hidden_dim")


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an encoder."""

    layers: int
    hidden_size: int
    heads: int
    intermediate_size: int

    def __str__(self) -> str:
        return f"{self.layers} layers x {self.hidden_size}, {self.heads} heads, feed-forward {self.intermediate_size}"


# Jiao et al. 2020.
NAMED = {"tinybert-4": Shape(4, 312, 12, 1200), "tinybert-6": Shape(6, 768, 12, 3072)}


@dataclass(frozen=True, slots=True)
class Student:
    """A model to be taught. `started_from` are the teacher's layers that it begins as; none where it begins random."""

    model: TextModel
    shape: Shape
    started_from: tuple[int, ...]


def shape_of(config: Any) -> Shape:
    """The sizes of an encoder, from its configuration."""
    intermediate = next(getattr(config, name) for name in _INTERMEDIATE if hasattr(config, name))
    return Shape(config.num_hidden_layers, config.hidden_size, config.num_attention_heads, intermediate)


def parse_shape(text: str, teacher: Shape) -> Shape:
    """The shape that `text` names: `tinybert-4`, `tinybert-6`, `L3` (3 of the teacher's layers), or sizes.

    Sizes are layers x width, as `3x384`, or with heads, or heads and feed-forward too, as `3x384x12x1536`. Where they
    are not stated the heads are as many as the teacher's, or the most below that divide the width, and the feed-forward
    layers are to the width as the teacher's are.

    Raises `UsageError` for another word, for heads that do not divide the width, and for more layers than the teacher.
    """
    if text in NAMED:
        shape = NAMED[text]
    elif kept := _KEPT.fullmatch(text):
        shape = Shape(int(kept[1]), teacher.hidden_size, teacher.heads, teacher.intermediate_size)
    elif sizes := _SIZES.fullmatch(text):
        layers, width = int(sizes[1]), int(sizes[2])
        heads = int(sizes[3]) if sizes[3] else _heads(width, teacher.heads)
        ratio = teacher.intermediate_size / teacher.hidden_size
        shape = Shape(layers, width, heads, int(sizes[4]) if sizes[4] else round(ratio * width))
    else:
        raise UsageError(
            f"--student {text!r}: expected {', '.join(NAMED)}, L3 for 3 of the teacher's layers, or 3x384 for 3 layers "
            "of width 384 (3x384x12x1536 with heads and feed-forward)"
        )
    if not all((shape.layers, shape.hidden_size, shape.heads, shape.intermediate_size)):
        raise UsageError(f"--student {text}: expected sizes of 1 or more")
    if shape.layers > teacher.layers:
        raise UsageError(
            f"--student {text}: {shape.layers} layers, expected at most {teacher.layers}, as the teacher has"
        )
    if shape.hidden_size % shape.heads:
        raise UsageError(f"--student {text}: {shape.heads} heads do not divide the width {shape.hidden_size}")
    return shape


def new_student(teacher: TextModel, task: AnyTask, shape: Shape, *, dropout: float) -> Student:
    """A student of `teacher` with its head and its tokenizer's vocabulary.

    One as wide as the teacher begins as every so many of the teacher's layers, the last one among them, with the
    teacher's embeddings and head; another begins random, from PyTorch's global random state.
    """
    config = student_config(teacher.config, shape)
    set_dropout(config, dropout)
    # HEADS and pooling are the same: the loaders of a bundle take them from its manifest.
    model = random_model(config, task, pooling=teacher.pooling, dropout=dropout)  # type: ignore[arg-type]
    if shape.hidden_size != teacher.config.hidden_size:
        return Student(model, shape, ())
    layers = tuple(layer for _, layer in uniform(shape.layers, teacher.config.num_hidden_layers))
    copy_layers(teacher, model, layers)
    return Student(model, shape, layers)


def student_config(config: Any, shape: Shape) -> Any:
    """The teacher's configuration with other sizes."""
    changed = copy.deepcopy(config)
    kinds = getattr(config, "layer_types", None)
    if kinds:  # of encoders whose layers attend in turn to all tokens and to near ones
        changed.layer_types = [kinds[layer] for _, layer in uniform(shape.layers, config.num_hidden_layers)]
    changed.num_hidden_layers = shape.layers
    changed.hidden_size = shape.hidden_size
    changed.num_attention_heads = shape.heads
    setattr(changed, next(name for name in _INTERMEDIATE if hasattr(config, name)), shape.intermediate_size)
    if hasattr(config, "pooler_hidden_size"):
        changed.pooler_hidden_size = shape.hidden_size
    return changed


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


def _heads(width: int, most: int) -> int:
    return next(heads for heads in range(min(most, width), 0, -1) if width % heads == 0) if width else 0
