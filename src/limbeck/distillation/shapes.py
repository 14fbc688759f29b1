"""The sizes of a student: by name, or layers, width, heads and feed-forward written out."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any

from limbeck.distillation.layer_maps import middles
from limbeck.errors import UsageError
from limbeck.nn.pruned import kept_heads, units, units_name

_KEPT = re.compile(r"L(\d+)")
_SIZES = re.compile(r"(\d+)x(\d+)(?:x(\d+)(?:x(\d+))?)?")


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


def shape_of(config: Any) -> Shape:
    """The sizes of an encoder, from its configuration."""
    return Shape(config.num_hidden_layers, config.hidden_size, kept_heads(config), units(config))


def parse_shape(text: str, teacher: Shape, *, deeper: bool = False, flag: str = "--student") -> Shape:
    """The shape that `text` names: `tinybert-4`, `tinybert-6`, `L3` (3 of the teacher's layers), or sizes.

    Sizes are layers x width, as `3x384`, or with heads, or heads and feed-forward too, as `3x384x12x1536`. Where they
    are not stated the heads are as many as the teacher's, or the most below that divide the width, and the feed-forward
    layers are to the width as the teacher's are.

    Raises `UsageError`, with the `flag` that gave it, for another word, for heads that do not divide the width, and
    unless it may be `deeper` for more layers than the teacher.
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
            f"{flag} {text!r}: expected {', '.join(NAMED)}, L3 for 3 of the teacher's layers, 3x384 for 3 layers of "
            "width 384 (3x384x12x1536 with heads and feed-forward), or pruned-2x for the teacher without its least "
            "important heads and units, twice as fast"
        )
    if not all((shape.layers, shape.hidden_size, shape.heads, shape.intermediate_size)):
        raise UsageError(f"{flag} {text}: expected sizes of 1 or more")
    if shape.layers > teacher.layers and not deeper:
        raise UsageError(f"{flag} {text}: {shape.layers} layers, expected at most {teacher.layers}, as the teacher has")
    if shape.hidden_size % shape.heads:
        raise UsageError(f"{flag} {text}: {shape.heads} heads do not divide the width {shape.hidden_size}")
    return shape


def student_config(config: Any, shape: Shape) -> Any:
    """The teacher's configuration with other sizes."""
    changed = copy.deepcopy(config)
    if getattr(config, "embedding_size", None) == config.hidden_size and config.model_type != "albert":
        changed.embedding_size = shape.hidden_size  # without a map between them they are one
    kinds = getattr(config, "layer_types", None)
    if kinds:  # of encoders whose layers attend in turn to all tokens and to near ones
        changed.layer_types = [kinds[layer] for layer in middles(shape.layers, config.num_hidden_layers)]
    changed.num_hidden_layers = shape.layers
    changed.hidden_size = shape.hidden_size
    changed.num_attention_heads = shape.heads
    setattr(changed, units_name(config), shape.intermediate_size)
    if hasattr(config, "pooler_hidden_size"):
        changed.pooler_hidden_size = shape.hidden_size
    return changed


def _heads(width: int, most: int) -> int:
    return next(heads for heads in range(min(most, width), 0, -1) if width % heads == 0) if width else 0
