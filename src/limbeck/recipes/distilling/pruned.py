"""A student that is the teacher with heads and units removed: which ones, and how much faster that makes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from limbeck.bundle import Model
from limbeck.console import notes, stage
from limbeck.data.sampling import evenly
from limbeck.distillation.lesson import check_sizes
from limbeck.distillation.pruning import (
    IMPORTANCE_ROWS,
    Kept,
    importance,
    most_important,
    same_heads_needed,
)
from limbeck.distillation.shapes import Shape, parse_shape, shape_of
from limbeck.distillation.speedup import Sizes, parse_speedup, sizes_for
from limbeck.distillation.students import Student
from limbeck.distillation.wanted import Weights
from limbeck.engines.torch_engine import TorchEngine
from limbeck.errors import UsageError
from limbeck.nn.base import load_config
from limbeck.nn.model import TextModel
from limbeck.nn.pruned import check_prunable
from limbeck.nn.resolve import resolve_base
from limbeck.proving import race_engines
from limbeck.tasks import AnyTask
from limbeck.training.prepare import Prepared
from limbeck.training.processes import join

TIMED_ROWS, TURNS = 64, 3  # a few seconds: compress measures what it compiles


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is kept of a teacher of shape `of`, with what that should gain on a text of `tokens`."""

    target_speedup: float
    tokens: int
    of: Shape
    sizes: Sizes
    kept: Kept

    def record(self, measured: float) -> dict[str, Any]:
        """As it stands in the manifest; units are written as ranges, for there are thousands."""
        return {
            "target_speedup": self.target_speedup,
            "tokens": self.tokens,
            "estimated_speedup": self.sizes.speedup,
            "measured_speedup": measured,
            "heads": [self.sizes.heads, self.of.heads],
            "units": [self.sizes.units, self.of.intermediate_size],
            "kept_heads": self.kept.heads,
            "kept_units": [_ranges(units) for units in self.kept.units],
        }

    def lines(self, measured: float) -> Iterator[str]:
        """What is left of each layer, and how much faster it is."""
        yield (
            f"pruned: {self.sizes.heads} of {self.of.heads} heads and {self.sizes.units:,} of "
            f"{self.of.intermediate_size:,} feed-forward units stay in each layer"
        )
        yield (
            f"{self.sizes.speedup:.2f} times fewer operations at {self.tokens} tokens; measured {measured:.2f} times "
            "as fast in PyTorch; compress measures what it compiles"
        )


def named_student(student: str | None, target_speedup: float | None) -> str | None:
    """The student's name; a target of 2 says `pruned-2x`. Raises `UsageError` where both are given."""
    if target_speedup is None:
        return student
    if student is not None:
        raise UsageError(f"--target-speedup {target_speedup:g}: means a pruned teacher; leave --student {student} out")
    return f"pruned-{target_speedup:g}x"


def check_alone(student: str | None, start: str | None, general: str | None) -> None:
    """Raises `UsageError` for a pruned student that is to begin as something else than its teacher."""
    if student is None or parse_speedup(student) is None:
        return
    for flag, value in (("--start", start), ("--general", general)):
        if value is not None:
            raise UsageError(f"{flag} {value}: --student {student} begins as its teacher; leave {flag} out")


def asked_shape(student: str, config: Any, flag: str = "--student") -> Shape:
    """The shape that `student` names; of a pruned student that of the teacher, for its own hangs on the rows.

    Raises `UsageError`, with the `flag` that gave it, for what is no shape and no speed-up, and for a family that
    cannot be pruned.
    """
    if parse_speedup(student, flag) is None:
        return parse_shape(student, shape_of(config), flag=flag)
    check_prunable(config)
    return shape_of(config)


def check_student_of_base(student: str, base: str, weights: Weights, flag: str) -> None:
    """As `asked_shape` and `check_sizes`, before there is a teacher: it will have the sizes of its base."""
    config = load_config(resolve_base(base))
    check_sizes(shape_of(config), asked_shape(student, config, flag), None, weights)


def chosen_pruning(
    student: str | None, master: TextModel, task: AnyTask, weights: Weights, prepared: Prepared, pad_id: int
) -> Pruning | None:
    """What to keep of the teacher, by the dev rows; None for a student that is not to be pruned.

    Raises `UsageError` for objectives with `weights` that compare heads one by one, where some are removed.
    """
    speedup = None if student is None else parse_speedup(student)
    if speedup is None:
        return None
    tokens = min(prepared.lengths.median, prepared.max_tokens)
    shape, sizes = shape_of(master.config), sizes_for(master, speedup, tokens)
    check_sizes(shape, replace(shape, heads=sizes.heads), task, weights)
    with stage(f"Weighing heads and units on {min(prepared.dev.examples, IMPORTANCE_ROWS):,} dev rows"):
        master.to(join().device)
        weighed = importance(master, task, prepared.dev, pad_id=pad_id)
    kept = most_important(weighed, heads=sizes.heads, units=sizes.units, same_heads=same_heads_needed(master))
    return Pruning(speedup, tokens, shape, sizes, kept)


def timed_record(
    pruning: Pruning | None, master: TextModel, made: Student, prepared: Prepared, model: Model
) -> dict[str, Any] | None:
    """What was pruned, said and for the manifest, with the speed-up in PyTorch in fp32, in turns with the teacher."""
    if pruning is None:
        return None
    device = join().device
    engines = [TorchEngine(master.to(device)), TorchEngine(made.model.to(device))]
    slow, fast = race_engines(engines, evenly(prepared.dev.rows, TIMED_ROWS), model, most_turns=TURNS)
    notes(pruning.lines(fast / slow))
    return pruning.record(fast / slow)


def _ranges(numbers: Sequence[int]) -> str:
    """`0-3,7` of 0, 1, 2, 3 and 7."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
