"""What `limbeck distill` teaches, and how."""

from __future__ import annotations

from limbeck.console import notes, stage
from limbeck.distillation.lesson import Lesson
from limbeck.distillation.students import Student
from limbeck.distillation.wanted import OF_ANSWERS, Weights
from limbeck.nn.losses import row_loss
from limbeck.nn.model import TextModel, fold_scale
from limbeck.recipes.distilling.course import Course
from limbeck.recipes.distilling.kept import kept_answers, kept_states
from limbeck.recipes.distilling.layers_first import in_two, teach_layers
from limbeck.recipes.distilling.trimmed import Both
from limbeck.recipes.tracking import tracked
from limbeck.recipes.training.notes import outcome_lines, training_bar
from limbeck.training.fine_tune import FineTuned, fine_tune
from limbeck.training.prepare import TokenizedSplit, standardise
from limbeck.training.processes import join


def teach(course: Course, made: Student, both: Both) -> FineTuned:
    """Train the student, what is inside the teacher first where that was asked; goes on after a stop."""
    inside, weights = in_two(course.weights, course.layers_first)
    if inside:
        with stage("The layers first"):
            teach_layers(course, made, both, inside)
    with stage("The teacher's answers"):
        lesson = _lesson(course, made, both, weights)
    task, learnt = course.task, both.ours.learnt
    tracker = course.track if join().first else None
    with (
        stage("Training"),
        training_bar(course.plan, learnt.train.examples, task.metric) as bar,
        tracked(tracker, course.out, course.arguments, task.metric, bar) as on_step,
    ):
        tuned = fine_tune(
            made.model,
            task,
            learnt,
            course.plan,
            pad_id=both.ours.pad_id,
            precision=course.precision,
            folder=course.work,
            fingerprint=course.fingerprint,
            on_step=on_step,
            lesson=lesson,
        )
    notes(outcome_lines(tuned, both.ours.prepared))
    return tuned


def learn_scores(model: TextModel, train: TokenizedSplit) -> None:
    """Let a head that gives numbers in the unit of the labels give the standard scores that are learnt instead."""
    mean, scale = standardise(train.labelled_targets.astype("float32"))
    fold_scale(model, mean=-mean / scale, scale=1 / scale)


def _lesson(course: Course, made: Student, both: Both, weights: Weights) -> Lesson:
    """What the student is trained on.

    Numbers are learnt as standard scores, which the teacher takes on, and the student's head where it is the teacher's.
    """
    master, task, mean, scale = course.master, course.task, 0.0, 1.0
    if task.name == "regress":
        mean, scale = standardise(both.theirs.learnt.train.labelled_targets.astype("float32"))
        if made.started_from:
            learn_scores(made.model, both.theirs.learnt.train)
    answers = []
    if any(name in weights for name in OF_ANSWERS):
        answers = kept_answers(course.teachers, master.config.hidden_size, task, both.theirs, mean=mean, scale=scale)
    return Lesson(
        master,
        made.model,
        task,
        weights,
        hard=row_loss(task),
        temperature=course.temperature,
        layer_map=course.layer_map,
        answers=answers,
        device=join().device,
        states=kept_states(course.teachers[0], master, both.theirs, weights, course.layer_map),
        labelled=both.theirs.learnt.train.labelled,
        basis=made.basis,
        teacher_ids=both.teacher_ids,
    )
