"""`limbeck train --sweep`: several trainings with other arguments, of which the dev rows choose the best."""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import msgspec

from limbeck.console import duration, say
from limbeck.errors import DataError, UsageError
from limbeck.files import write_text
from limbeck.nn.model import TextModel
from limbeck.nn.precision import Precision
from limbeck.recipes.arguments import RANGES
from limbeck.recipes.tracking import Tracker, tracked
from limbeck.recipes.training.notes import training_bar
from limbeck.tasks import AnyTask
from limbeck.training.fine_tune import fit_rows
from limbeck.training.place import Fit, Progress
from limbeck.training.plan import Plan, steps_per_epoch
from limbeck.training.prepare import Prepared
from limbeck.training.search import (
    NAMES,
    Candidate,
    Choice,
    Trial,
    best_of,
    check_optuna,
    next_candidate,
    ranges_around,
)

TRIALS = "trials.json"
_WANTED = (
    "expected a number of trials, or NAME=VALUE,VALUE,… once for each NAME of "
    f"{', '.join(name.replace('_', '-') for name in NAMES)}"
)


@dataclass(frozen=True, slots=True)
class Search:
    """What `--sweep` asks for: so many `trials` by TPE, or all combinations of the `values` of a grid."""

    trials: int
    values: dict[str, tuple[float, ...]]

    @property
    def method(self) -> Literal["grid", "tpe"]:
        """How trials are chosen."""
        return "grid" if self.values else "tpe"


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trials share; `model` stays as it is, and `plan` is what they change."""

    model: TextModel
    task: AnyTask
    prepared: Prepared
    plan: Plan
    pad_id: int
    precision: Precision | None
    folder: Path
    fingerprint: str
    out: Path
    track: Tracker | None
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The training whose model is kept: its plan, its folder, and where it is the best of many their record."""

    plan: Plan
    folder: Path
    fingerprint: str
    sweep: dict[str, Any] | None = None


class _Study(msgspec.Struct):
    """The file of a sweep that goes on."""

    fingerprint: str
    trials: list[Trial] = []


class _Pruned(Exception):
    """Ends a trial in the middle of its training."""

    def __init__(self, now: Progress) -> None:
        self.now = now


def search_of(sweep: int | Sequence[str] | None, processes: int) -> Search | None:
    """What `--sweep` says.

    Raises `UsageError` for what it cannot be, naming all that is wrong, and where several processes train together;
    `MissingExtra` without Optuna.
    """
    if sweep is None:
        return None
    if isinstance(sweep, int) and sweep < 1:
        raise UsageError(f"--sweep {sweep}: expected 1 trial or more")
    values: dict[str, tuple[float, ...]] = {}
    if not isinstance(sweep, int):
        values, wrong = _grid(sweep)
        if wrong or not values:
            raise UsageError("; ".join(wrong) or f"--sweep without a value: {_WANTED}")
    if processes > 1:
        raise UsageError(f"--sweep: a sweep runs in one process, and {processes} were started; start one")
    check_optuna()
    return Search(sweep if isinstance(sweep, int) else math.prod(map(len, values.values())), values)


def _grid(words: Sequence[str]) -> tuple[dict[str, tuple[float, ...]], list[str]]:
    values: dict[str, tuple[float, ...]] = {}
    wrong = []
    for word in words:
        left, _, right = word.partition("=")
        name = left.strip().replace("-", "_")
        if name not in NAMES or not right.strip():
            wrong.append(f"--sweep {word or repr('')}: {_WANTED}")
        elif name in values:
            wrong.append(f"--sweep {word}: {left} was given before; put all its values into one list")
        else:
            parse = float if name == "learning_rate" else int
            numbers: dict[float, None] = {}
            for part in right.split(","):
                try:
                    number = parse(part)
                    if not RANGES[name].holds(number):
                        raise ValueError
                    numbers[number] = None
                except ValueError:
                    whole = "" if parse is float else "a whole number, "
                    wrong.append(f"--sweep {left}={part}: expected {whole}{RANGES[name]}")
            values[name] = tuple(numbers)
    return values, wrong


def run_sweep(search: Search, setting: Setting) -> Chosen:
    """Run all trials and choose the best by its dev score.

    Each trial is a training of its own, of a copy of the model, in a folder of its own. Trials that ended are kept in
    TRIALS: a sweep that was stopped goes on in the trial where it was, and ends as an unbroken one. The folder of the
    best stays, finished; those of the others are removed, since a checkpoint is three times as large as its model.
    """
    plan, metric, file = setting.plan, setting.task.metric, setting.folder / TRIALS
    space = _choices(search, plan) or ranges_around(plan)
    study = _read(file, setting.fingerprint)
    trials, before, started = study.trials, len(study.trials), time.monotonic()
    if trials:
        say(f"  {len(trials)} of {search.trials} trials are done already")
    while len(trials) < search.trials:
        _remove_others(setting.folder, trials)
        number = len(trials) + 1
        candidate = next_candidate(space, trials, seed=plan.seed)
        say(f"  trial {number} of {search.trials}: {_words(candidate.choice)}")
        precision = trials[0].precision if trials else setting.precision  # measured once, so that trials are alike
        trials.append(_run(candidate, number, replace(setting, precision=precision)))
        write_text(file, msgspec.json.encode(study).decode())
        left = (time.monotonic() - started) / (number - before) * (search.trials - number)
        say(_ended(trials, metric) + (f"; about {duration(left)} left" if left else ""))
    _remove_others(setting.folder, trials)
    best = best_of(trials)
    say(f"  best of {len(trials)} trials: trial {best.number}, {_words(best.choice)}, dev {metric} {best.score:.4f}")
    record = {"method": search.method, "best": best.number, "trials": [asdict(trial) for trial in trials]}
    return Chosen(replace(plan, **asdict(best.choice)), *_place(setting, best.number, best.choice), record)


def _choices(search: Search, plan: Plan) -> tuple[Choice, ...]:
    """The grid, the last name's values changing fastest; what has no values stays as in the plan."""
    if not search.values:
        return ()
    given = [search.values.get(name, (getattr(plan, name),)) for name in NAMES]
    return tuple(Choice(*values) for values in product(*given))


def _run(candidate: Candidate, number: int, setting: Setting) -> Trial:
    choice, task, prepared = candidate.choice, setting.task, setting.prepared
    plan = replace(setting.plan, **asdict(choice))
    rows, name = prepared.train.examples, setting.out.with_name(f"{setting.out.name}-trial-{number}")
    arguments = {**setting.arguments, "sweep": None, **asdict(choice)}
    steps = plan.epochs * steps_per_epoch(rows, plan)
    folder, fingerprint = _place(setting, number, choice)
    state: Literal["complete", "pruned"] = "complete"
    ended: Fit | Progress

    def on_step(now: Progress) -> None:
        watch(now)
        if candidate.hopeless(now.evaluations, steps):
            raise _Pruned(now)

    try:
        with (
            training_bar(plan, rows, task.metric) as bar,
            tracked(setting.track, name, arguments, task.metric, bar) as watch,
        ):
            ended = fit_rows(
                copy.deepcopy(setting.model),
                task,
                prepared,
                plan,
                pad_id=setting.pad_id,
                precision=setting.precision,
                folder=folder,
                fingerprint=fingerprint,
                on_step=on_step,
            )
        # A trial that was stopped between its last step and its record has not said its scores yet.
        state = "pruned" if candidate.hopeless(ended.evaluations, steps) else "complete"
    except _Pruned as pruned:
        ended, state = pruned.now, "pruned"
    score = max(evaluation.score for evaluation in ended.evaluations)
    return Trial(number, choice, state, score, ended.seconds, ended.precision.precision, candidate.course)


def _place(setting: Setting, number: int, choice: Choice) -> tuple[Path, str]:
    """The folder of a trial, and the fingerprint of its training."""
    return setting.folder / f"trial-{number}", f"{setting.fingerprint} {choice}"


def _read(file: Path, fingerprint: str) -> _Study:
    """The trials that ended before, if they are of this very sweep."""
    if file.exists():
        try:
            study = msgspec.json.decode(file.read_bytes(), type=_Study)
        except msgspec.DecodeError as error:
            raise DataError(f"{file} is damaged ({error}): delete it to sweep anew") from error
        if study.fingerprint == fingerprint:
            return study
    return _Study(fingerprint)


def _remove_others(folder: Path, trials: Sequence[Trial]) -> None:
    """Leave the folders of the best trial so far and of the one that comes next, which may have begun."""
    kept = {f"trial-{len(trials) + 1}"} | ({f"trial-{best_of(trials).number}"} if trials else set())
    for path in folder.glob("trial-*"):
        if path.name not in kept:
            shutil.rmtree(path)


def _words(choice: Choice) -> str:
    return f"learning rate {choice.learning_rate:g}, batch {choice.batch}, epochs {choice.epochs}"


def _ended(trials: Sequence[Trial], metric: str) -> str:
    trial, best = trials[-1], best_of(trials)
    what = "stopped early, below the median of those before" if trial.state == "pruned" else "done"
    beside = "the best so far" if best is trial else f"best so far {best.score:.4f} of trial {best.number}"
    return f"  trial {trial.number} {what}: dev {metric} {trial.score:.4f} in {duration(trial.seconds)}, {beside}"
