"""When int8 loses too much: the most sensitive nodes stay in fp32, ever more of them, until the budget holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from limbeck.export.quantize import Sensitivity


class Trial(Protocol):
    """An int8 form that was proven."""

    @property
    def holds(self) -> bool:
        """Whether it lost no more than the budget."""


T = TypeVar("T", bound=Trial)


def keep_sensitive(ranked: Sequence[Sensitivity], attempt: Callable[[tuple[str, ...], str], T]) -> list[T]:
    """Trials with 1, 2, 4, … of the most sensitive nodes in fp32, the last one the first that holds, if any does.

    `attempt` is told the nodes and, in words, what is done.
    """
    trials: list[T] = []
    kept = 1
    while kept < len(ranked) and not (trials and trials[-1].holds):
        names = tuple(s.node for s in ranked[:kept])
        trials.append(attempt(names, f"kept in fp32: {', '.join(_short(name) for name in names)}"))
        kept *= 2
    return trials


def _short(node: str) -> str:
    """`layer.0/output/dense` of `/model/inner/bert/encoder/layer.0/output/dense/MatMul`."""
    return node.rpartition("/encoder/")[2].removesuffix("/MatMul")
