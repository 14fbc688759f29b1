"""`limbeck train --track`: the course of a training, sent to a program that draws and compares such."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from accelerate import Accelerator

from limbeck.errors import MissingExtra
from limbeck.training.place import Progress

Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
PROJECT = "limbeck"
EVERY_STEPS = 10  # a service on the network is not asked at each step


def check_tracker(tracker: Tracker | None) -> None:
    """Raises `MissingExtra` where the tracker's package is not installed."""
    if tracker is not None and find_spec(tracker) is None:
        raise MissingExtra(tracker, tracker)


@contextmanager
def tracked(
    tracker: Tracker | None, out: Path, arguments: dict[str, Any], metric: str, on_step: Callable[[Progress], None]
) -> Iterator[Callable[[Progress], None]]:
    """Yields `on_step`, which then also tells the tracker: the loss and the learning rate, and each dev `metric`.

    TensorBoard's files go to `runs/NAME` beside `out`, NAME being its name; others get a run NAME in a project PROJECT.
    """
    if tracker is None:
        yield on_step
        return
    accelerator = Accelerator(log_with=tracker, project_dir=out.parent / "runs")
    named = {"wandb": {"name": out.name}, "trackio": {"name": out.name}, "mlflow": {"run_name": out.name}}
    project = out.name if tracker == "tensorboard" else PROJECT
    accelerator.init_trackers(project, config=arguments, init_kwargs=named)

    def also(now: Progress) -> None:
        on_step(now)
        values = {f"dev/{metric}": e.score for e in now.evaluations if e.step == now.step}
        if values or now.step % EVERY_STEPS == 0:
            values |= {"train/loss": now.loss, "train/learning_rate": now.learning_rate}
            accelerator.log(values, step=now.step)

    try:
        yield also
    finally:
        for each in accelerator.trackers:
            each.finish()
