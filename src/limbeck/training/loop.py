"""The training loop: batches of like length, accumulated under a token budget, resumable at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

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
from limbeck.training.place import Fit, Place, Progress
from limbeck.training.plan import Plan, evaluation_interval, steps_per_epoch
from limbeck.training.processes import Processes, join
from limbeck.training.step import Objective, Stepper

MEASURED_STEPS = 100  # of fewer steps the measuring of the precision would be a large part
CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"


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
    precision = place.choice.precision
    saved_at = time.monotonic()
    per_epoch = steps_per_epoch(len(targets), plan)
    total = per_epoch * plan.epochs
    parts = parts_below_the_head(model) if plan.unfreeze_gradually else []
    while place.step < total and not place.settled(plan.patience):
        epoch = place.step // per_epoch
        for indices in _epoch_steps(stepper.lengths, plan, epoch)[place.step % per_epoch :]:
            started = time.monotonic()
            learning_rate = _set_learning_rate(optimizer, plan, place.step, total)
            unfreeze_gradually(parts, step=place.step, per_epoch=per_epoch)
            processes.reseed(plan.seed, place.step)
            step_loss = stepper.step(optimizer, indices, precision, plan.max_grad_norm)
            if average is not None:
                average.update_parameters(model)
            place.count(step_loss, len(indices), time.monotonic() - started)
            if place.step % per_epoch % evaluation_interval(per_epoch) == 0:  # an epoch's end counts: 0 % n is 0
                _evaluate(trained, evaluate, place, per_epoch, folder, processes)
            due = saved_at + plan.checkpoint_seconds <= time.monotonic() or place.step % per_epoch == 0
            if processes.first and due:
                save_checkpoint(folder / CHECKPOINT, trained, asdict(place))
                saved_at = time.monotonic()
            on_step(place.progress(total, step_loss, learning_rate))
            if place.settled(plan.patience):
                break
    model.load_state_dict(processes.tensors_of_first(lambda: load_file(folder / BEST)))
    return place.outcome(total)


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
) -> Place:
    """The place where a stopped run goes on, or the first one, with what was trained until there in every process."""
    processes = stepper.processes
    place = processes.on_first(lambda: _resume(folder, fingerprint, trained))
    if place is None:
        torch.manual_seed(plan.seed)
        place = Place(fingerprint, asdict(_choose_precision(precision, stepper, plan)))
        # What was measured must not be measured again, perhaps otherwise, by a run that goes on from here.
        if processes.first:
            save_checkpoint(folder / CHECKPOINT, trained, asdict(place))
    copy_from_first(trained, processes)
    return place


def _resume(folder: Path, fingerprint: str, state: State) -> Place | None:
    found = read_place(folder / CHECKPOINT)
    if found is None or found["fingerprint"] != fingerprint:
        return None
    load_checkpoint(folder / CHECKPOINT, state)
    return Place(**found)


def _evaluate(
    trained: State,
    evaluate: Callable[[TextModel, Precision], float],
    place: Place,
    per_epoch: int,
    folder: Path,
    processes: Processes,
) -> None:
    trained.judged.eval()
    score = processes.on_first(lambda: evaluate(trained.judged, place.choice.precision))
    if place.evaluated(place.step / per_epoch, score) and processes.first:
        save_weights(folder / BEST, trained.judged)


def _set_learning_rate(optimizer: torch.optim.Optimizer, plan: Plan, step: int, total: int) -> float:
    rate = plan.learning_rate * linear_schedule(step, steps=total, warmup_steps=math.ceil(plan.warmup * total))
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]
    return rate
