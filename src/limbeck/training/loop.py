"""The training loop: batches of like length, accumulated under a token budget, resumable at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from limbeck.nn.model import TextModel
from limbeck.nn.on_cpu import quicken
from limbeck.nn.precision import Precision, PrecisionChoice, measure_precision
from limbeck.text import Tokens, training_batches
from limbeck.training.adversarial import Adversary
from limbeck.training.checkpoint import (
    State,
    copy_from_first,
    load_checkpoint,
    read_place,
    save_checkpoint,
    save_weights,
)
from limbeck.training.frozen import Below
from limbeck.training.optimizer import linear_schedule, make_optimizer, parts_below_the_head, unfreeze_gradually
from limbeck.training.processes import Processes, join
from limbeck.training.step import Objective, Stepper

MEASURED_STEPS = 100  # of fewer steps the measuring of the precision would be a large part
CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The dev metric after `step` optimizer steps, with the mean training loss since the evaluation before."""

    step: int
    epoch: float
    loss: float
    score: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running training is, for those who watch it; the learning rate is that of the layers at the top."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    precision: PrecisionChoice
    seconds: float
    rows_per_second: float
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """What a training did. The model it was given holds the weights of the best evaluation."""

    evaluations: tuple[Evaluation, ...]
    best: Evaluation
    steps: int
    stopped_early: bool
    precision: PrecisionChoice
    seconds: float
    rows_per_second: float


@dataclass(slots=True)
class _Place:
    """Everything about a run that is not a tensor."""

    fingerprint: str
    precision: dict[str, Any]
    step: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    seconds: float = 0.0
    rows: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)

    def count(self, loss: float, rows: int, seconds: float) -> None:
        """One more step is done."""
        self.step += 1
        self.loss_sum += loss
        self.loss_steps += 1
        self.rows += rows
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """The arguments of a training loop; see `limbeck.train` for their meaning."""

    epochs: int
    batch: int
    learning_rate: float
    accumulate: int = 1
    warmup: float = 0.1
    weight_decay: float = 0.01
    layer_decay: float = 1.0
    ema: float = 0.0
    unfreeze_gradually: bool = False
    balance_labels: bool = False
    label_smoothing: float = 0.0
    r_drop: float = 0.0
    adversary: Adversary | None = None
    max_grad_norm: float = 1.0
    patience: int = 4
    budget_tokens: int = 8192
    seed: int = 0
    checkpoint_seconds: float = 120.0


def steps_per_epoch(rows: int, plan: Plan) -> int:
    """Optimizer steps in one pass over `rows` rows."""
    return math.ceil(math.ceil(rows / plan.batch) / plan.accumulate)


def fit(
    model: TextModel,
    rows: Sequence[Tokens],
    targets: Tensor,
    *,
    objective: Objective,
    evaluate: Callable[[TextModel, Precision], float],
    plan: Plan,
    pad_id: int,
    folder: Path,
    fingerprint: str,
    precision: Precision | None = None,
    on_step: Callable[[Progress], None] = lambda progress: None,
    below: Below | None = None,
) -> Fit:
    """Train `model` in place and leave it with the weights of its best evaluation.

    `rows` are the texts of the examples that `targets` are for, in the order that `Stepper` has them; `below` is what
    frozen layers give for them, where that is kept.

    `evaluate` gives the dev metric of a model, higher is better: of this one, or under `plan.ema` of the moving average
    of its weights. Evaluated at the end of each epoch, and about every thousand steps within a long one. State is kept
    in `folder`; a run with the same `fingerprint` found there goes on where it stopped and ends with the same weights
    as an unbroken one. Of several processes each computes its share of a step; the first alone evaluates, since the dev
    rows are few and its numbers are then those of a single process, and reads and writes `folder`.
    """
    processes = join()
    device = processes.device
    model.to(device)
    if device.type == "cpu":
        quicken(model)
    optimizer = make_optimizer(
        model, learning_rate=plan.learning_rate, weight_decay=plan.weight_decay, layer_decay=plan.layer_decay
    )
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(plan.ema)) if plan.ema else None  # type: ignore[no-untyped-call]
    trained = State(model, optimizer, average)
    stepper = Stepper(
        model,
        rows,
        targets,
        objective,
        budget_tokens=plan.budget_tokens,
        pad_id=pad_id,
        device=device,
        processes=processes,
        below=below,
    )
    place = _begin(folder, fingerprint, trained, stepper, plan, precision)
    choice = PrecisionChoice(**place.precision)
    saved_at = time.monotonic()
    per_epoch = steps_per_epoch(len(targets), plan)
    total = per_epoch * plan.epochs
    parts = parts_below_the_head(model) if plan.unfreeze_gradually else []
    while place.step < total and not _finished(place, plan):
        epoch = place.step // per_epoch
        for indices in _epoch_steps(stepper.lengths, plan, epoch)[place.step % per_epoch :]:
            started = time.monotonic()
            learning_rate = _set_learning_rate(optimizer, plan, place.step, total)
            unfreeze_gradually(parts, step=place.step, per_epoch=per_epoch)
            processes.reseed(plan.seed, place.step)
            step_loss = stepper.step(optimizer, indices, choice.precision, plan.max_grad_norm)
            if average is not None:
                average.update_parameters(model)
            place.count(step_loss, len(indices), time.monotonic() - started)
            if place.step % per_epoch % evaluation_interval(per_epoch) == 0:  # an epoch's end counts: 0 % n is 0
                _evaluate(trained.judged, evaluate, choice.precision, place, per_epoch, folder, processes)
            due = saved_at + plan.checkpoint_seconds <= time.monotonic() or place.step % per_epoch == 0
            if processes.first and due:
                save_checkpoint(folder / CHECKPOINT, trained, asdict(place))
                saved_at = time.monotonic()
            on_step(_progress(place, choice, total, step_loss, learning_rate))
            if _finished(place, plan):
                break
    model.load_state_dict(processes.tensors_of_first(lambda: load_file(folder / BEST)))
    return _outcome(place, choice, total)


def evaluation_interval(per_epoch: int) -> int:
    """Steps between two evaluations: an epoch, or the even part of one that is nearest to a thousand steps."""
    return math.ceil(per_epoch / max(1, round(per_epoch / 1000)))


def _choose_precision(said: Precision | None, stepper: Stepper, plan: Plan) -> PrecisionChoice:
    """What was said, or what was measured to be faster; of several processes by the first."""
    few = steps_per_epoch(len(stepper.targets), plan) * plan.epochs < MEASURED_STEPS
    known = PrecisionChoice(said or "fp32") if said or few else None
    measured = known or measure_precision(_rehearsal(stepper, plan))
    return stepper.processes.on_first(lambda: measured)


def _rehearsal(stepper: Stepper, plan: Plan) -> Callable[[Precision], None]:
    """A step of the first epoch's median length, to be timed; it leaves no gradients and moves no weights."""
    lengths = stepper.lengths
    by_size = sorted(_epoch_steps(lengths, plan, 0), key=lambda s: max(lengths[i] for i in s))
    typical = by_size[len(by_size) // 2]

    def once(precision: Precision) -> None:
        stepper.model.train()
        stepper.gradients(typical, precision)
        stepper.model.zero_grad(set_to_none=True)

    return once


def _epoch_steps(lengths: Sequence[int], plan: Plan, epoch: int) -> list[NDArray[np.int64]]:
    batches = training_batches(lengths, batch_rows=plan.batch, seed=plan.seed, epoch=epoch)
    groups = range(0, len(batches), plan.accumulate)
    return [np.concatenate(batches[i : i + plan.accumulate]) for i in groups]


def _begin(
    folder: Path, fingerprint: str, trained: State, stepper: Stepper, plan: Plan, precision: Precision | None
) -> _Place:
    """The place where a stopped run goes on, or the first one, with what was trained until there in every process."""
    processes = stepper.processes
    place = processes.on_first(lambda: _resume(folder, fingerprint, trained))
    if place is None:
        torch.manual_seed(plan.seed)
        place = _Place(fingerprint, asdict(_choose_precision(precision, stepper, plan)))
        # What was measured must not be measured again, perhaps otherwise, by a run that goes on from here.
        if processes.first:
            save_checkpoint(folder / CHECKPOINT, trained, asdict(place))
    copy_from_first(trained, processes)
    return place


def _resume(folder: Path, fingerprint: str, state: State) -> _Place | None:
    found = read_place(folder / CHECKPOINT)
    if found is None or found["fingerprint"] != fingerprint:
        return None
    load_checkpoint(folder / CHECKPOINT, state)
    return _Place(**found)


def _evaluate(
    model: TextModel,
    evaluate: Callable[[TextModel, Precision], float],
    precision: Precision,
    place: _Place,
    per_epoch: int,
    folder: Path,
    processes: Processes,
) -> None:
    model.eval()
    mean_loss = place.loss_sum / max(1, place.loss_steps)
    score = processes.on_first(lambda: evaluate(model, precision))
    evaluation = Evaluation(place.step, place.step / per_epoch, mean_loss, score)
    earlier = [e["score"] for e in place.evaluations]
    if processes.first and (not earlier or evaluation.score > max(earlier)):
        save_weights(folder / BEST, model)
    place.evaluations.append(asdict(evaluation))
    place.loss_sum, place.loss_steps = 0.0, 0


def _set_learning_rate(optimizer: torch.optim.Optimizer, plan: Plan, step: int, total: int) -> float:
    rate = plan.learning_rate * linear_schedule(step, steps=total, warmup_steps=math.ceil(plan.warmup * total))
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]
    return rate


def _outcome(place: _Place, choice: PrecisionChoice, total: int) -> Fit:
    evaluations = _evaluations(place)
    return Fit(
        evaluations=evaluations,
        best=max(evaluations, key=lambda e: e.score),
        steps=place.step,
        stopped_early=place.step < total,
        precision=choice,
        seconds=place.seconds,
        rows_per_second=place.rows / max(place.seconds, 1e-9),
    )


def _evaluations(place: _Place) -> tuple[Evaluation, ...]:
    return tuple(Evaluation(**e) for e in place.evaluations)


def _finished(place: _Place, plan: Plan) -> bool:
    """Whether the last `patience` evaluations brought no new best."""
    scores = [e["score"] for e in place.evaluations]
    return bool(scores) and len(scores) - 1 - int(np.argmax(scores)) >= plan.patience


def _progress(place: _Place, choice: PrecisionChoice, total: int, loss: float, learning_rate: float) -> Progress:
    rate = place.rows / max(place.seconds, 1e-9)
    return Progress(place.step, total, loss, learning_rate, choice, place.seconds, rate, _evaluations(place))
