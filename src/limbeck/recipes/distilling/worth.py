"""Whether a distillation was worth it: the student beside its teacher, itself without a teacher, and words alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.bundle import Bundle
from limbeck.console import notes, say, stage
from limbeck.distillation.students import Student
from limbeck.errors import LimbeckError
from limbeck.measure.contest import Entrant, Standing, standings
from limbeck.nn.model import TextModel, load_model, new_model
from limbeck.nn.precision import Precision
from limbeck.nn.resolve import resolve_base
from limbeck.recipes.distilling.baseline import word_baseline
from limbeck.recipes.distilling.begun import Begun
from limbeck.recipes.distilling.course import Course
from limbeck.recipes.distilling.lessons import learn_scores
from limbeck.recipes.distilling.pruned import Pruning
from limbeck.recipes.distilling.student import asked_student, begun_student, is_base, unlike_base
from limbeck.recipes.distilling.trimmed import Both, trimmed_student
from limbeck.recipes.training.choices import start_at_frequencies
from limbeck.recipes.training.notes import outcome_lines, training_bar
from limbeck.report.worth import ALONE, STUDENT, TEACHER, compiled_variants, worth_lines
from limbeck.tasks import AnyTask, Classify
from limbeck.training.fine_tune import FineTuned, fine_tune
from limbeck.training.optimizer import freeze
from limbeck.training.prepare import TokenizedSplit
from limbeck.training.processes import join


def contest(course: Course, begun: Begun, both: Both, tuned: FineTuned, *, alone_epochs: int | None) -> list[Standing]:
    """Teachers and student side by side on the test rows; says how they stand.

    So are those that no teacher taught, unless `alone_epochs` is None: the same student after so many epochs, and of a
    classifier one that knows only words.
    """
    bundles = [teacher.bundle for teacher in course.teachers]
    compiled = compiled_variants(course.bundle.manifest) if len(bundles) == 1 else {}
    parameters = sum(bundle.manifest.model.parameters for bundle in bundles)
    entrants = [
        Entrant(TEACHER, begun.judged.evidence, parameters, compiled),
        Entrant(STUDENT, tuned.evidence, begun.parameters, {}),
    ]
    if alone_epochs is not None:
        alone = _alone(course, begun.pruning, both, tuned.fit.precision.precision, alone_epochs)
        entrants.append(Entrant(ALONE, alone, begun.parameters, {}))
        if isinstance(course.task, Classify):
            with stage("A classifier of words"):
                task, prepared = course.task, both.ours.prepared
                baseline = join().on_first(lambda: word_baseline(prepared, task))
                entrants += [] if baseline is None else [baseline]
    found = standings(entrants, tuned.task.metric_of, compared_with=STUDENT)
    notes(worth_lines(found, tuned.task.metric))
    return found


def _alone(
    course: Course, pruning: Pruning | None, both: Both, precision: Precision, epochs: int
) -> NDArray[np.float64]:
    """What the same student, trained without a teacher, shows on the test rows."""
    task, prepared, plan = course.task, both.ours.prepared, replace(course.plan, epochs=epochs)
    with stage("The same student without a teacher"):
        torch.manual_seed(plan.seed)

        def begun(base: TextModel) -> Student:
            asked = asked_student(
                course.start, course.student, course.bundle, base, task, course.weights, course.dropout
            )
            found = begun_student(asked, base, task, both.theirs, pruning=pruning, dropout=course.dropout)
            if not found.started_from:
                start_at_frequencies(found.model, task, prepared.train)
            return found

        if is_base(course.start):
            model = begun(course.master).model
        else:
            model = _begun_from_base(begun, course.bundle, task, course.dropout, prepared.train)
        trimmed_student(model, task, both)
        freeze(model, embeddings=course.freeze_embeddings)
        with training_bar(plan, prepared.train.examples, task.metric) as bar:
            tuned = fine_tune(
                model,
                task,
                prepared,
                plan,
                pad_id=both.ours.pad_id,
                precision=precision,
                folder=course.work / "alone",
                fingerprint=course.fingerprint,
                on_step=bar,
            )
        notes(outcome_lines(tuned, prepared))
    return tuned.evidence


def _begun_from_base(
    begun: Callable[[TextModel], Student], bundle: Bundle, task: AnyTask, dropout: float, train: TokenizedSplit
) -> TextModel:
    described = bundle.manifest.model
    pooling = described.pooling
    try:
        base = new_model(resolve_base(described.base), task, pooling=pooling, dropout=dropout)
        if (reason := unlike_base(bundle, base)) is None:
            start_at_frequencies(base, task, train)
            return begun(base).model
    except LimbeckError as error:
        reason = str(error)
    say(f"  it cannot be made of the base ({reason}): it starts from the fine-tuned teacher, which flatters it")
    made = begun(load_model(bundle.folder, task, pooling=pooling))
    if task.name == "regress" and made.started_from:
        learn_scores(made.model, train)
    return made.model
