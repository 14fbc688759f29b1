"""The directions of a teacher's hidden states that a narrower student keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from limbeck.distillation.states import captured
from limbeck.engines.settings import BUDGET_TOKENS
from limbeck.nn.model import TextModel
from limbeck.text import Tokens, pad, padded_length, token_batches

SAMPLE_ROWS = 256  # thousands of tokens for a few hundred directions


@dataclass(frozen=True, slots=True)
class Basis:
    """Orthonormal columns `vectors`, float64 `[teacher's width, student's width]`.

    `kept` is the share of the hidden states' squared length that lies in them.
    """

    vectors: Tensor
    kept: float


def hidden_basis(teacher: TextModel, rows: Sequence[Tokens], width: int, *, pad_id: int) -> Basis:
    """The basis in which hidden states lose least: P that minimises Σ |h - P Pᵀ h|², from their singular vectors.

    h are the embeddings and each layer's hidden states at every token of `rows` (at most SAMPLE_ROWS, drawn evenly),
    with their mean over the features taken off and of length 1, as LayerNorm sees them. The direction of that mean is
    kept too, as that of the mean of the student's features, so that its LayerNorm takes off the same.
    """
    theirs = teacher.config.hidden_size
    if width == theirs:
        return Basis(torch.eye(width, dtype=torch.float64), 1.0)
    moment = _moment(teacher.eval(), rows, pad_id)
    # Directions that no state takes come before that of the mean, which is added apart.
    centre = torch.eye(theirs, dtype=torch.float64) - 1 / theirs
    values, vectors = torch.linalg.eigh(moment + 1e-12 * moment.trace() * centre)
    chosen = slice(theirs - width + 1, None)
    mean = torch.full((theirs, 1), theirs**-0.5, dtype=torch.float64)
    found = torch.cat([mean, vectors[:, chosen]], dim=1) @ _reflection(width)
    return Basis(found, float(values[chosen].sum() / values.sum()))


def _moment(teacher: TextModel, rows: Sequence[Tokens], pad_id: int) -> Tensor:
    """The sum of h hᵀ, `[width, width]`."""
    numbers = np.unique(np.linspace(0, len(rows) - 1, SAMPLE_ROWS, dtype=np.int64))
    few = [rows[i] for i in numbers]
    lengths = [len(row) for row in few]
    device = next(teacher.parameters()).device
    total = torch.zeros(2 * (teacher.config.hidden_size,), dtype=torch.float64)
    for indices in token_batches(lengths, budget_tokens=BUDGET_TOKENS, max_length=max(lengths)):
        width = padded_length(lengths[indices[0]], limit=max(lengths))
        arrays = pad([few[i] for i in indices], pad_id=pad_id, length=width)
        inputs = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        with captured(teacher) as states, torch.inference_mode():
            teacher(**inputs)
        for hidden in states.hidden:
            found = hidden[inputs["attention_mask"] == 1].double()
            found = nn.functional.normalize(found - found.mean(dim=1, keepdim=True), dim=1)
            total += (found.T @ found).cpu()
    return total


def _reflection(width: int) -> Tensor:
    """The reflection that sends the first axis to the direction of the mean, (1, …, 1) / √width (Householder 1958)."""
    across = torch.full((width,), -(width**-0.5), dtype=torch.float64)
    across[0] += 1
    if width == 1:
        return torch.eye(1, dtype=torch.float64)
    return torch.eye(width, dtype=torch.float64) - 2 * torch.outer(across, across) / across.square().sum()
