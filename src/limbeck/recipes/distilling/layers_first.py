"""TinyBERT's order (Jiao et al. 2020): a student learns what its teacher is inside first, and then what it answers."""

from __future__ import annotations

from dataclasses import replace

from limbeck.distillation.fit_states import SCORE, fit_states, no_loss
from limbeck.distillation.lesson import Lesson
from limbeck.distillation.students import Student
from limbeck.distillation.wanted import INSIDE, WITHOUT_STATES, Weights
from limbeck.errors import UsageError
from limbeck.recipes.distilling.course import Course
from limbeck.recipes.distilling.kept import kept_states
from limbeck.recipes.distilling.trimmed import Both
from limbeck.recipes.training.notes import training_bar
from limbeck.training.processes import join


def in_two(weights: Weights, epochs: int) -> tuple[Weights, Weights]:
    """The objectives of a first stage of so many epochs, and those of the second; without a first one all are second.

    Raises `UsageError` where one of them is empty.
    """
    if not epochs:
        return {}, weights
    inside = {name: weight for name, weight in weights.items() if name in INSIDE}
    answers = {name: weight for name, weight in weights.items() if name not in inside}
    if not inside or not answers:
        raise UsageError(
            f"--layers-first {epochs}: expected an --objective of both kinds, such as tinybert: for the first epochs "
            f"some of {', '.join(INSIDE)}, and for the rest some of {', '.join(WITHOUT_STATES)}"
        )
    return inside, answers


def teach_layers(course: Course, made: Student, both: Both, weights: Weights) -> None:
    """Teach a student what is inside its teacher, judged by the dev rows' loss; goes on after a stop."""
    plan = replace(course.plan, epochs=course.layers_first)
    lesson = Lesson(
        course.master,
        made.model,
        course.task,
        weights,
        hard=no_loss,
        temperature=1.0,
        layer_map=course.layer_map,
        answers=(),
        device=join().device,
        states=kept_states(course.teachers[0], course.master, both.theirs, weights, course.layer_map),
        basis=made.basis,
        teacher_ids=both.teacher_ids,
    )
    prepared = both.ours.learnt
    with training_bar(plan, prepared.train.examples, SCORE) as on_step:
        fit_states(
            made.model,
            prepared.train.rows,
            prepared.dev.rows,
            lesson,
            plan,
            examples=prepared.train.examples,
            pad_id=both.ours.pad_id,
            precision=course.precision,
            folder=course.work / "layers",
            fingerprint=course.fingerprint,
            on_step=on_step,
        )
