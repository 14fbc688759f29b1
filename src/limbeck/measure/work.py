"""The matrix work of an encoder, and how fast this machine multiplies matrices at its best."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# As large as the products of a batch, so that what surrounds them weighs nothing: [rows, depth] by [depth, columns].
ROWS, DEPTH, COLUMNS = 4096, 768, 3072
PEAK_OPERATIONS = 2 * ROWS * DEPTH * COLUMNS

# What configurations of different families call the same size.
_NAMES = {
    "layers": ("num_hidden_layers", "n_layers"),
    "width": ("hidden_size", "dim"),
    "inner": ("intermediate_size", "hidden_dim"),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Layers, hidden states' width and feed-forward's width of an encoder."""

    layers: int
    width: int
    inner: int


def sizes_of(config: dict[str, Any]) -> Sizes | None:
    """The sizes in a `config.json`; None where it does not name them."""
    found = {size: next((config[n] for n in names if n in config), None) for size, names in _NAMES.items()}
    return None if None in found.values() else Sizes(**found)  # type: ignore[arg-type]


def operations(lengths: Sequence[int], sizes: Sizes) -> float:
    """Multiplications and additions of all layers over texts of so many tokens, nothing left out and no padding.

    A layer takes `2 (4 h² + 2 h i) + 4 s h` of them for each of `s` tokens, with hidden states of `h` and a
    feed-forward of `i`: four products for attention, two for the feed-forward, and attention's own two, of tokens with
    tokens.
    """
    tokens = np.asarray(lengths, dtype=np.float64)
    each = 2 * (4 * sizes.width**2 + 2 * sizes.width * sizes.inner) + 4 * tokens * sizes.width
    return float(sizes.layers * (tokens * each).sum())


def peak_of(multiply: Callable[[], object], *, seconds: float = 1.0) -> float:
    """Operations a second of the fastest of several products of `PEAK_OPERATIONS`."""
    multiply()
    taken: list[float] = []
    while sum(taken) < seconds or not taken:
        start = time.perf_counter()
        multiply()
        taken.append(time.perf_counter() - start)
    return PEAK_OPERATIONS / min(taken)


def numpy_peak() -> float:
    """Operations a second of NumPy's fp32 product."""
    random = np.random.default_rng(0)
    left, right = (random.random(shape, dtype=np.float32) for shape in ((ROWS, DEPTH), (DEPTH, COLUMNS)))
    return peak_of(lambda: left @ right)
