"""How many heads and feed-forward units may stay for an encoder to be so many times as fast, counted in operations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from limbeck.errors import UsageError
from limbeck.nn.model import TextModel
from limbeck.nn.pruned import attention_width, kept_heads, prunable_layers, units

_PRUNED = re.compile(r"pruned-(\d+(?:\.\d+)?)x")
FEWEST_UNITS = 8
# Vectors of the matrix kernels hold so many numbers or more.
UNITS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Operations:
    """Floating-point operations of one text in all layers, in what grows with the heads and with the units."""

    attention: int
    feed_forward: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """The heads and units that each layer keeps, and how many times fewer operations that makes."""

    heads: int
    units: int
    speedup: float


def parse_speedup(student: str, flag: str = "--student") -> float | None:
    """The 2 of `pruned-2x`, None for the name of another student.

    Raises `UsageError`, with the `flag` that gave it, for what is no speed-up.
    """
    found = _PRUNED.fullmatch(student)
    if found is None:
        if student.startswith("pruned"):
            raise UsageError(f"{flag} {student}: expected how many times as fast, as pruned-2x or pruned-1.5x")
        return None
    speedup = float(found[1])
    if speedup <= 1:
        raise UsageError(f"{flag} {student}: expected a speed-up above 1")
    return speedup


def operations(model: TextModel, tokens: int) -> Operations:
    """Those of the matrix products of the layers for one text of `tokens`, a multiplication and an addition being two.

    Of a weight 2 x its numbers x the tokens, of scores and their sums 4 x tokens^2 x the width of all heads. DeBERTa
    also has scores of each token and each distance. Embeddings, norms and the head are left out.
    """
    config, layers = model.config, prunable_layers(model.encoder)
    width, repeats = attention_width(config), config.num_hidden_layers // len(layers)
    attention = feed_forward = 0
    for layer in layers:
        weights = sum(linear.weight.numel() for linear in (*layer.maps, layer.output))
        attention += 2 * tokens * weights + 4 * tokens**2 * width
        attention += _of_distances(config, tokens, width)
        feed_forward += 2 * tokens * (layer.up.weight.numel() + layer.down.weight.numel())
    return Operations(attention * repeats, feed_forward * repeats)


def sizes_for(model: TextModel, speedup: float, tokens: int) -> Sizes:
    """The sizes with which a text of `tokens` takes `speedup` times fewer operations.

    About the same share of the heads and of the units is kept, and what heads, being few, do not divide is made up for
    by units. Raises `UsageError` where not even one head and FEWEST_UNITS units a layer are few enough.
    """
    cost = operations(model, tokens)
    heads, all_units = kept_heads(model.config), units(model.config)
    of_head, of_unit = cost.attention / heads, cost.feed_forward / all_units
    whole = cost.attention + cost.feed_forward
    left = whole / speedup
    for kept in range(max(1, round(heads / speedup)), 0, -1):
        room = int((left - kept * of_head) / of_unit)
        fit = min(all_units, room - room % UNITS_AT_ONCE)
        if fit >= FEWEST_UNITS:
            return Sizes(kept, fit, whole / (kept * of_head + fit * of_unit))
    most = whole / (of_head + FEWEST_UNITS * of_unit)
    raise UsageError(
        f"pruned-{speedup:g}x: removing heads and feed-forward units makes this encoder at most "
        f"{most:.1f} times as fast at {tokens} tokens, with one head and {FEWEST_UNITS} units left in each layer: ask "
        "for less, or for fewer layers, as L3"
    )


def _of_distances(config: Any, tokens: int, width: int) -> int:
    kinds = len(getattr(config, "pos_att_type", None) or ()) if getattr(config, "relative_attention", False) else 0
    if not kinds:
        return 0
    buckets: int = getattr(config, "position_buckets", -1)
    if buckets < 1:
        buckets = getattr(config, "max_relative_positions", -1)
    if buckets < 1:
        buckets = config.max_position_embeddings
    distances = 2 * buckets
    of_one_kind: int = 2 * width * distances * (config.hidden_size + tokens)
    return kinds * of_one_kind
