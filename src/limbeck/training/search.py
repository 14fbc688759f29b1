"""A search for the learning rate, the batch and the epochs: what to try next, and which trial is not worth its time.

Optuna decides both from the trials that ended, and from nothing else: a search that was stopped goes on as if it had
not been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from limbeck.errors import MissingExtra
from limbeck.nn.precision import Precision
from limbeck.training.place import Evaluation
from limbeck.training.plan import Plan

POINTS = 10  # parts of a training at whose ends trials are compared
MEDIAN_OF = 3  # of fewer trials a median says little
RANDOM_TRIALS = 5  # that TPE wants to see before it models anything
AROUND = 4.0  # the learning rate is looked for between a quarter and four times the given one
MIN_EPOCHS, MORE_EPOCHS = 2, 2


@dataclass(frozen=True, slots=True)
class Choice:
    """The arguments of a training that a search looks for; see `limbeck.train` for their meaning."""

    learning_rate: float
    batch: int
    epochs: int


NAMES = tuple(field.name for field in fields(Choice))


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that ended, `number` counted from 1.

    `score` is its best dev score, `seconds` what its steps took, and `course` the dev score at each tenth (1 to 10) of
    the planned training, as of the evaluation before.
    """

    number: int
    choice: Choice
    state: Literal["complete", "pruned"]
    score: float
    seconds: float
    precision: Precision
    course: dict[int, float]


@dataclass(frozen=True, slots=True)
class Ranges:
    """Where TPE looks: from the least to the most, the learning rate by its logarithm; one of the batches."""

    learning_rate: tuple[float, float]
    batch: tuple[int, ...]
    epochs: tuple[int, int]


def ranges_around(plan: Plan) -> Ranges:
    """A quarter to four times the plan's learning rate, half to twice its batch, 2 epochs to 2 more than it has."""
    low, high = plan.learning_rate / AROUND, min(1.0, plan.learning_rate * AROUND)
    batch = sorted({max(1, plan.batch // 2), plan.batch, plan.batch * 2})
    return Ranges((_short(low), _short(high)), tuple(batch), (MIN_EPOCHS, max(MIN_EPOCHS, plan.epochs) + MORE_EPOCHS))


def best_of(trials: Sequence[Trial]) -> Trial:
    """The complete trial with the highest dev score, of equal ones the first."""
    return max((t for t in trials if t.state == "complete"), key=lambda t: t.score)


def check_optuna() -> None:
    """Raises `MissingExtra` where Optuna is not installed."""
    if find_spec("optuna") is None:
        raise MissingExtra("optuna", "sweep")


class Candidate:
    """A trial that Optuna chose and that is to be run: its `choice`, and its `course` so far."""

    def __init__(self, trial: Any, choice: Choice) -> None:
        self.choice = choice
        self.course: dict[int, float] = {}
        self._trial = trial
        self._seen = 0

    def hopeless(self, evaluations: Sequence[Evaluation], steps: int) -> bool:
        """Whether its best dev score was below the median of the complete trials at some point before the end.

        Takes all evaluations so far, of a training of `steps` steps. Epochs of a short and of a long training are not
        alike, since the learning rate falls over all of it; so trials are compared at equal shares of theirs.
        """
        for evaluation in evaluations[self._seen :]:
            self._seen += 1
            point = -(-POINTS * evaluation.step // steps)
            last = max(self.course, default=point)
            for between in range(last + 1, point):
                self._report(between, self.course[last])
            if point not in self.course:
                self._report(point, evaluation.score)
                if evaluation.step < steps and self._trial.should_prune():
                    return True
        return False

    def _report(self, point: int, score: float) -> None:
        self.course[point] = score
        self._trial.report(score, point)


def next_candidate(space: Ranges | Sequence[Choice], earlier: Sequence[Trial], *, seed: int) -> Candidate:
    """The trial after the `earlier` ones: the next of the choices in a sequence, or what TPE suggests within ranges.

    TPE: Bergstra et al. 2011. The same trials and seed give the same suggestion.
    """
    import optuna  # an extra

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn = int(np.random.SeedSequence([seed, len(earlier)]).generate_state(1)[0])
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(n_startup_trials=RANDOM_TRIALS, seed=drawn),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=MEDIAN_OF, n_min_trials=MEDIAN_OF),
    )
    found = _distributions(space)
    for trial in earlier:
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[trial.state.upper()],
                value=trial.score,
                params=asdict(trial.choice),
                distributions=found,
                intermediate_values=trial.course,
            )
        )
    if not isinstance(space, Ranges):
        study.enqueue_trial(asdict(space[len(earlier)]))
        return Candidate(study.ask(found), space[len(earlier)])
    asked = study.ask(found)
    params = asked.params
    return Candidate(asked, Choice(_short(params["learning_rate"]), params["batch"], params["epochs"]))


def _distributions(space: Ranges | Sequence[Choice]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(space, Ranges):
        return {
            "learning_rate": FloatDistribution(*space.learning_rate, log=True),
            "batch": CategoricalDistribution(space.batch),
            "epochs": IntDistribution(*space.epochs),
        }
    return {name: CategoricalDistribution(list({getattr(c, name): None for c in space})) for name in NAMES}


def _short(rate: float) -> float:
    """Three digits, so that a learning rate can be read and typed; finer ones make no difference."""
    return float(f"{rate:.3g}")
