"""Train a student to be inside as its teacher is, without labels: judged by how far apart they are on held-out text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from limbeck.distillation.lesson import Lesson
from limbeck.nn.model import TextModel
from limbeck.nn.precision import Precision, autocast
from limbeck.text import Tokens, pad, padded_length, token_batches
from limbeck.training.loop import fit
from limbeck.training.place import Fit, Progress
from limbeck.training.plan import Plan
from limbeck.training.step import Objective

SCORE = "minus loss"


def fit_states(
    model: TextModel,
    rows: Sequence[Tokens],
    held_out: Sequence[Tokens],
    lesson: Lesson,
    plan: Plan,
    *,
    examples: int,
    pad_id: int,
    precision: Precision | None,
    folder: Path,
    fingerprint: str,
    on_step: Callable[[Progress], None],
) -> Fit:
    """Train `model` in place on a lesson of states; `rows` are the texts of so many `examples`. See `fit` for resuming.

    The score is minus the mean loss over `held_out`.
    """
    return fit(
        model,
        rows,
        torch.zeros(examples),
        objective=Objective(loss=no_loss, whole_batch=lesson.whole_batch, lesson=lesson),
        evaluate=lambda judged, chosen: (
            -mean_loss(judged, held_out, lesson.on_other_rows(), plan.budget_tokens, pad_id, chosen)
        ),
        plan=plan,
        pad_id=pad_id,
        folder=folder,
        fingerprint=fingerprint,
        precision=precision,
        on_step=on_step,
    )


def mean_loss(
    model: TextModel, rows: Sequence[Tokens], lesson: Lesson, budget_tokens: int, pad_id: int, precision: Precision
) -> float:
    """The mean loss of a lesson over `rows`, each text for itself; leaves the model in evaluation mode."""
    device = next(model.parameters()).device
    lengths = [len(row) for row in rows]
    longest, total = max(lengths), 0.0
    model.eval()
    with torch.inference_mode(), autocast(precision, device):
        for batch in token_batches(lengths, budget_tokens=budget_tokens, max_length=longest):
            width = padded_length(max(lengths[i] for i in batch), limit=longest)
            arrays = pad([rows[i] for i in batch], pad_id=pad_id, length=width)
            inputs = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
            total += float(lesson(model, inputs, torch.zeros(len(batch), device=device), np.asarray(batch)).sum())
    return total / len(rows)


def no_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """What is never called."""
    raise AssertionError("a lesson stands in for the loss")
