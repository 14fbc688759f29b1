"""Adversarial training: the loss under the worst small move of the word embeddings is learnt too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

Attack = Literal["fgm", "pgd"]
PGD_STEPS = 3


@dataclass(frozen=True, slots=True)
class Adversary:
    """How far the embeddings of a row `[length, width]` are moved: `size` is the L2 norm of the move.

    `fgm` takes one step along the gradient (Miyato et al. 2017); `pgd` takes PGD_STEPS shorter ones, each followed by a
    projection onto the ball of that radius (Madry et al. 2018).
    """

    attack: Attack
    size: float

    @property
    def steps(self) -> int:
        """Gradient steps to the final move."""
        return 1 if self.attack == "fgm" else PGD_STEPS

    @property
    def pace(self) -> float:
        """The length of one step: those of `pgd` may together go beyond the ball, so that they can turn."""
        return self.size if self.steps == 1 else 1.5 * self.size / self.steps


def adversarial_backward(embeddings: nn.Module, loss_of: Callable[[], Tensor], adversary: Adversary) -> Tensor:
    """Add the gradients of the plain and of the adversarial loss; returns the plain loss.

    `loss_of` runs the model, in which `embeddings` gives `[batch, length, width]`. Its output is moved, never its
    weights, so there is nothing to restore.
    """
    plain, still = _run_moved(embeddings, loss_of, None)
    plain.backward()  # type: ignore[no-untyped-call]
    delta, gradient = torch.zeros_like(still), cast(Tensor, still.grad)
    for step in range(adversary.steps):
        delta = _within(delta + adversary.pace * _direction(gradient), adversary.size)
        loss, leaf = _run_moved(embeddings, loss_of, delta)
        if step + 1 == adversary.steps:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            (gradient,) = torch.autograd.grad(loss, leaf)  # on the way the weights gather no gradients
    return plain


def _run_moved(embeddings: nn.Module, loss_of: Callable[[], Tensor], delta: Tensor | None) -> tuple[Tensor, Tensor]:
    """The loss with the embeddings moved by `delta` (None: not at all), and the leaf that gets the move's gradient."""
    leaves: list[Tensor] = []

    def add(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        leaf = torch.zeros_like(output) if delta is None else delta
        leaves.append(leaf.detach().requires_grad_())
        return output + leaves[-1]

    handle = embeddings.register_forward_hook(add)
    try:
        return loss_of(), leaves[-1]
    finally:
        handle.remove()


def _direction(gradient: Tensor) -> Tensor:
    """`gradient` `[batch, length, width]` with the norm of each row made 1; a row without gradient stays."""
    return gradient / _norms(gradient).clamp_min(torch.finfo(gradient.dtype).tiny)


def _within(delta: Tensor, size: float) -> Tensor:
    """Rows longer than `size` are cut to it."""
    return delta * (size / _norms(delta).clamp_min(size))


def _norms(rows: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows, dim=(1, 2), keepdim=True)
    return norms
