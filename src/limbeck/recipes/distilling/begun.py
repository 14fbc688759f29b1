"""A distillation before its student learns: what the student begins as, and what the teachers score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from limbeck.console import notes, stage
from limbeck.distillation.students import Student
from limbeck.recipes.distilling.course import Course
from limbeck.recipes.distilling.pruned import Pruning, chosen_pruning, timed_record
from limbeck.recipes.distilling.student import Asked, begun_student, student_lines
from limbeck.recipes.distilling.teachers import Judged, judge_teachers, teacher_lines
from limbeck.recipes.distilling.trimmed import Both, Vocabulary, trimmed_student
from limbeck.recipes.training.choices import start_at_frequencies
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

    @property
    def parameters(self) -> int:
        """How many the student's Hugging Face model has."""
        return self.made.model.parameter_count


def begin(course: Course, asked: Asked, both: Both) -> Begun:
    """Make the student and judge the teachers; says what comes of it."""
    processes, read, master, task = join(), both.theirs, course.master, course.task
    pruning = processes.on_first(
        lambda: chosen_pruning(course.student, master, task, course.weights, read.prepared, read.pad_id)
    )
    with stage("The teacher"):
        made = begun_student(asked, master, task, read, pruning=pruning, dropout=course.dropout)
        if not made.started_from:
            start_at_frequencies(made.model, task, read.prepared.train)
        described = course.bundle.manifest.model
        pruned = processes.on_first(lambda: timed_record(pruning, master, made, read.prepared, described))
        vocabulary = trimmed_student(made.model, task, both)
        freeze(made.model, embeddings=course.freeze_embeddings)
        judged = processes.on_first(lambda: judge_teachers(course.teachers, task, read))
        notes(teacher_lines(course.teachers, judged, task.metric, course.weights))
        notes(student_lines(made, master, course.weights, course.layer_map))
        notes(vocabulary.lines() if vocabulary else ())
    return Begun(made, judged, vocabulary, pruning, pruned)
