"""A distillation before its student learns: what the student begins as, and what the teachers score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.console import notes, stage
from limbeck.distillation.layer_maps import LayerMap
from limbeck.distillation.students import Student
from limbeck.distillation.wanted import Weights
from limbeck.nn.model import TextModel
from limbeck.recipes.pruned import Pruning, chosen_pruning, timed_record
from limbeck.recipes.student import Asked, begun_student, student_lines
from limbeck.recipes.teachers import Judged, Teacher, judge_teachers, teacher_lines
from limbeck.recipes.training_choices import start_at_frequencies
from limbeck.recipes.trimmed import Both, Vocabulary, trimmed_student
from limbeck.tasks import AnyTask
from limbeck.training.optimizer import freeze
from limbeck.training.processes import join


@dataclass(frozen=True, slots=True)
class Begun:
    """`made` is the student; `pruning` says what is left of the teacher, `pruned` its record."""

    made: Student
    judged: Judged
    vocabulary: Vocabulary | None
    pruning: Pruning | None
    pruned: dict[str, Any] | None


def begin(
    teachers: Sequence[Teacher],
    master: TextModel,
    task: AnyTask,
    asked: Asked,
    student: str | None,
    both: Both,
    weights: Weights,
    pairs: LayerMap,
    *,
    dropout: float,
    freeze_embeddings: bool,
) -> Begun:
    """Make the student and judge the teachers, of whom `master` is the first; says what comes of it."""
    processes, read = join(), both.theirs
    pruning = processes.on_first(lambda: chosen_pruning(student, master, task, read.prepared, read.pad_id))
    with stage("The teacher"):
        made = begun_student(asked, master, task, read, pruning=pruning, dropout=dropout)
        if pruning is None and not made.started_from:
            start_at_frequencies(made.model, task, read.prepared.train)
        described = teachers[0].bundle.manifest.model
        pruned = processes.on_first(lambda: timed_record(pruning, master, made, read.prepared, described))
        vocabulary = trimmed_student(made.model, task, both)
        freeze(made.model, embeddings=freeze_embeddings)
        judged = processes.on_first(lambda: judge_teachers(teachers, task, read))
        notes(teacher_lines(teachers, judged, task.metric, weights))
        notes(student_lines(made, weights, pairs))
        notes(vocabulary.lines() if vocabulary else ())
    return Begun(made, judged, vocabulary, pruning, pruned)
