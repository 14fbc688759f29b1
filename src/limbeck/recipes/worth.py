"""Whether a distillation was worth it: the student beside its teacher, itself without a teacher, and words alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from limbeck.bundle import Bundle
from limbeck.console import notes, say, stage
from limbeck.errors import LimbeckError
from limbeck.measure.contest import Entrant, Standing, standings
from limbeck.nn.model import TextModel, load_model, new_model
from limbeck.nn.precision import Precision
from limbeck.nn.resolve import resolve_base
from limbeck.recipes.baseline import word_baseline
from limbeck.recipes.pruned import Pruning
from limbeck.recipes.student import asked_student, begun_student
from limbeck.recipes.teachers import Judged, Teacher
from limbeck.recipes.training_choices import start_at_frequencies
from limbeck.recipes.training_notes import outcome_lines, training_bar
from limbeck.recipes.trimmed import Both, trimmed_student
from limbeck.report.worth import ALONE, STUDENT, TEACHER, compiled_variants, worth_lines
from limbeck.tasks import AnyTask, Classify
from limbeck.training.fine_tune import fine_tune
from limbeck.training.loop import Plan
from limbeck.training.optimizer import freeze
from limbeck.training.prepare import TokenizedSplit
from limbeck.training.processes import join


def rivals(
    bundle: Bundle,
    student: Entrant,
    start: str | None,
    shape: str | None,
    task: AnyTask,
    both: Both,
    plan: Plan,
    *,
    pruning: Pruning | None,
    dropout: float,
    freeze_embeddings: bool,
    precision: Precision,
    folder: Path,
    fingerprint: str,
) -> list[Entrant]:
    """Those that no teacher taught: the same student, and of a classifier one that knows only words."""
    prepared = both.ours.prepared
    with stage("The same student without a teacher"):
        torch.manual_seed(plan.seed)

        def begun(base: TextModel) -> TextModel:
            asked = asked_student(start, shape, bundle, base, task, dropout)
            found = begun_student(asked, base, task, both.theirs, pruning=pruning, dropout=dropout)
            return found.model

        model = _begun_from_base(begun, bundle, task, dropout, prepared.train)
        trimmed_student(model, task, both)
        freeze(model, embeddings=freeze_embeddings)
        with training_bar(plan, prepared.train.examples, task.metric) as bar:
            tuned = fine_tune(
                model,
                task,
                prepared,
                plan,
                pad_id=both.ours.pad_id,
                precision=precision,
                folder=folder,
                fingerprint=fingerprint,
                on_step=bar,
            )
        notes(outcome_lines(tuned, prepared))
    found = [Entrant(ALONE, tuned.evidence, student.parameters, {})]
    if isinstance(task, Classify):
        with stage("A classifier of words"):
            found.append(join().on_first(lambda: word_baseline(prepared, task)))
    return found


def placed(
    teachers: Sequence[Teacher], judged: Judged, student: Entrant, others: list[Entrant], task: AnyTask
) -> list[Standing]:
    """Teachers, student and `others` side by side; says how they stand."""
    parameters = sum(teacher.bundle.manifest.model.parameters for teacher in teachers)
    compiled = compiled_variants(teachers[0].bundle.manifest) if len(teachers) == 1 else {}
    entrants = [Entrant(TEACHER, judged.evidence, parameters, compiled), student, *others]
    found = standings(entrants, task.metric_of, compared_with=STUDENT)
    notes(worth_lines(found, task.metric))
    return found


def _begun_from_base(
    begun: Callable[[TextModel], TextModel], bundle: Bundle, task: AnyTask, dropout: float, train: TokenizedSplit
) -> TextModel:
    described = bundle.manifest.model
    pooling = described.pooling
    try:
        base = new_model(resolve_base(described.base), task, pooling=pooling, dropout=dropout)
        start_at_frequencies(base, task, train)
        return begun(base)
    except LimbeckError as error:
        say(f"  it cannot be made of the base ({error}): it starts from the fine-tuned teacher, which flatters it")
        return begun(load_model(bundle.folder, task, pooling=pooling))
