"""Fine-tune a model on prepared rows, then calibrate its task on the dev rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.engines import compute_logits
from limbeck.engines.torch_engine import TorchEngine
from limbeck.nn.losses import balanced_weights, row_divergence, row_loss
from limbeck.nn.model import TextModel, fold_scale
from limbeck.nn.precision import Precision
from limbeck.predictor import labelled_logits
from limbeck.tasks import AnyTask, Embed, Logits
from limbeck.training.loop import fit
from limbeck.training.place import Fit, Progress
from limbeck.training.plan import Plan
from limbeck.training.prepare import Prepared, TokenizedSplit, standardise, training_targets
from limbeck.training.processes import join
from limbeck.training.step import Lesson, Objective


@dataclass(frozen=True, slots=True)
class FineTuned:
    """How the training went, the task with its calibration, and what the fp32 model scores on dev and test.

    `evidence` is what each test row says of it, as the task has it, `[rows, n]`; `untrained` is what it scored on test
    before, where it could answer already (`embed`).
    """

    fit: Fit
    task: AnyTask
    scores: dict[str, dict[str, float]]
    evidence: NDArray[np.float64]
    untrained: dict[str, float] | None = None


def fine_tune(
    model: TextModel,
    task: AnyTask,
    prepared: Prepared,
    plan: Plan,
    *,
    pad_id: int,
    precision: Precision | None,
    folder: Path,
    fingerprint: str,
    on_step: Callable[[Progress], None],
    lesson: Lesson | None = None,
) -> FineTuned:
    """Train `model` in place; see `limbeck.train` for the arguments and `fit` for resuming.

    A `lesson` takes the place of the task's own loss.
    """
    untrained = None
    processes = join()
    if isinstance(task, Embed) and processes.first:
        found = _logits(model.eval(), task, prepared.test, prepared.max_tokens, pad_id, "fp32")
        untrained = task.scores(found, prepared.test.targets)
    fitted = fit_rows(
        model,
        task,
        prepared,
        plan,
        pad_id=pad_id,
        precision=precision,
        folder=folder,
        fingerprint=fingerprint,
        on_step=on_step,
        lesson=lesson,
    )
    if task.name == "regress":
        mean, scale = standardise(prepared.train.labelled_targets.astype(np.float32))
        fold_scale(model, mean=mean, scale=scale)

    def judged() -> FineTuned:
        dev, test = (
            _logits(model, task, split, prepared.max_tokens, pad_id, "fp32") for split in (prepared.dev, prepared.test)
        )
        calibrated = task.calibrated(dev, prepared.dev.targets)
        scores = {
            "dev": calibrated.scores(dev, prepared.dev.targets),
            "test": calibrated.scores(test, prepared.test.targets),
        }
        return FineTuned(fitted, calibrated, scores, calibrated.evidence(test, prepared.test.targets), untrained)

    return processes.on_first(judged)


def fit_rows(
    model: TextModel,
    task: AnyTask,
    prepared: Prepared,
    plan: Plan,
    *,
    pad_id: int,
    precision: Precision | None,
    folder: Path,
    fingerprint: str,
    on_step: Callable[[Progress], None],
    lesson: Lesson | None = None,
) -> Fit:
    """Train `model` in place, judged by the dev rows alone: the part of `fine_tune` before calibration and test rows.

    For `regress` the model answers in standard scores.
    """

    def dev_score(judged: TextModel, precision: Precision) -> float:
        found = _logits(judged, task, prepared.dev, prepared.max_tokens, pad_id, precision)
        return task.calibrated(found, prepared.dev.targets).score(found, prepared.dev.targets)

    targets = prepared.train.targets
    wanted = training_targets(task, prepared.train)
    if task.name == "regress":  # numbers of any unit are learnt as standard scores; the head takes the unit back later
        numbers = targets.astype(np.float32)
        mean, scale = standardise(prepared.train.labelled_targets.astype(np.float32))
        wanted = (numbers - mean) / np.float32(scale)
    return fit(
        model,
        prepared.train.rows,
        torch.from_numpy(wanted),
        objective=_objective(task, targets, plan, lesson),
        evaluate=dev_score,
        plan=plan,
        pad_id=pad_id,
        folder=folder,
        fingerprint=fingerprint,
        precision=precision,
        on_step=on_step,
        below=prepared.train.below,
    )


def _logits(
    model: TextModel, task: AnyTask, split: TokenizedSplit, max_tokens: int, pad_id: int, precision: Precision
) -> Logits:
    found = compute_logits(TorchEngine(model, precision).run, split.rows, pad_id=pad_id, max_tokens=max_tokens)
    return labelled_logits(task, split.rows, found)


def _objective(task: AnyTask, targets: NDArray[np.generic], plan: Plan, lesson: Lesson | None) -> Objective:
    compared = isinstance(task, Embed) and task.learnt_from != "scored"
    weights = balanced_weights(task, targets) if plan.balance_labels else None
    return Objective(
        loss=row_loss(task, weights, label_smoothing=plan.label_smoothing),
        divergence=row_divergence(task) if plan.r_drop else None,
        r_drop=plan.r_drop,
        adversary=plan.adversary,
        whole_batch=compared or (lesson is not None and lesson.whole_batch),
        lesson=lesson,
    )
