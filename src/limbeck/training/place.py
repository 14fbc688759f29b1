"""Where a training is, what it found until there, and what it came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from limbeck.nn.precision import PrecisionChoice


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
class Place:
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

    @property
    def choice(self) -> PrecisionChoice:
        """The precision that it computes in."""
        return PrecisionChoice(**self.precision)

    @property
    def done(self) -> tuple[Evaluation, ...]:
        """All evaluations until here."""
        return tuple(Evaluation(**evaluation) for evaluation in self.evaluations)

    @property
    def rows_per_second(self) -> float:
        """Of all steps until here."""
        return self.rows / max(self.seconds, 1e-9)

    def evaluated(self, epoch: float, score: float) -> bool:
        """Note a score, with the mean loss since the one before; says whether none was better.

        Of equals the last is the best: few dev rows tell models apart late in a training no more, and it has seen most.
        """
        loss = self.loss_sum / max(1, self.loss_steps)
        best = all(score >= earlier.score for earlier in self.done)
        self.evaluations.append(asdict(Evaluation(self.step, epoch, loss, score)))
        self.loss_sum, self.loss_steps = 0.0, 0
        return best

    def settled(self, patience: int) -> bool:
        """Whether the last `patience` evaluations were no better than those before."""
        scores = [evaluation.score for evaluation in self.done]
        return bool(scores) and len(scores) - 1 - scores.index(max(scores)) >= patience

    def progress(self, steps: int, loss: float, learning_rate: float) -> Progress:
        """Where the run is, of so many `steps`."""
        return Progress(
            self.step, steps, loss, learning_rate, self.choice, self.seconds, self.rows_per_second, self.done
        )

    def outcome(self, steps: int) -> Fit:
        """What the run did, of so many `steps` that it might have taken."""
        return Fit(
            evaluations=self.done,
            best=max(reversed(self.done), key=lambda e: e.score),
            steps=self.step,
            stopped_early=self.step < steps,
            precision=self.choice,
            seconds=self.seconds,
            rows_per_second=self.rows_per_second,
        )
