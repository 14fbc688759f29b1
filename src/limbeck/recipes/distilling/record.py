"""The record of a distillation, for the manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from limbeck.distillation.layer_maps import LayerMap
from limbeck.distillation.wanted import Weights
from limbeck.measure.contest import Standing
from limbeck.recipes.distilling.begun import Begun
from limbeck.recipes.distilling.course import Course
from limbeck.recipes.distilling.taught import Scores
from limbeck.recipes.distilling.trimmed import Both
from limbeck.training.fine_tune import FineTuned


@dataclass(frozen=True, slots=True)
class Taught:
    """What a student was taught and by whom, for the manifest.

    `with_teachers` are the others and what each scores; `teacher_scores` and `teacher_parameters` are of all together.
    `start`, `started_from` and `states_kept` say what the student began as: see `Student`; with `own_tokenizer` it
    reads otherwise than its teachers. `pruned` says what stayed of each layer, `vocabulary` what was cut, as records.
    `retention` is its metric in percent of the teacher's, of each split where that is above 0; `standings` set it
    beside the teacher and others on test. It also learnt from `unlabelled_rows`.
    """

    teacher: str
    teacher_variant: str | None
    with_teachers: dict[str, Scores]
    teacher_sha256: str
    teacher_parameters: int
    teacher_scores: Scores
    objective: Weights
    temperature: float
    layer_map: LayerMap
    shape: str
    start: str
    started_from: tuple[int, ...]
    pruned: dict[str, Any] | None
    states_kept: float | None
    own_tokenizer: bool
    vocabulary: dict[str, Any] | None
    retention: dict[str, float]
    standings: list[Standing]
    unlabelled_rows: int

    def record(self) -> dict[str, Any]:
        """As it stands in the manifest, which has lists and no tuples."""
        lists = {"layer_map": [list(pair) for pair in self.layer_map], "started_from": list(self.started_from)}
        return asdict(self) | lists


def taught_by(
    course: Course, begun: Begun, both: Both, tuned: FineTuned, standings: list[Standing], *, unlabelled_rows: int
) -> Taught:
    """What the student was taught."""
    made, judged, vocabulary = begun.made, begun.judged, begun.vocabulary
    first, *others = course.teachers
    metric = tuned.task.metric
    pairs = {split: (tuned.scores[split][metric], values[metric]) for split, values in judged.scores.items()}
    return Taught(
        teacher=str(first.bundle.folder),
        teacher_variant=first.variant.name if first.variant is not None else None,
        with_teachers={str(t.bundle.folder): own for t, own in zip(others, judged.each[1:], strict=True)},
        teacher_sha256=first.sha256(),
        teacher_parameters=sum(teacher.bundle.manifest.model.parameters for teacher in course.teachers),
        teacher_scores=judged.scores,
        objective=course.weights,
        temperature=course.temperature,
        layer_map=course.layer_map,
        shape=str(made.shape),
        start=made.start,
        started_from=made.started_from,
        pruned=begun.pruned,
        states_kept=made.basis.kept if made.basis is not None else None,
        own_tokenizer=both.apart,
        vocabulary=vocabulary.record() if vocabulary is not None else None,
        retention={split: 100 * ours / theirs for split, (ours, theirs) in pairs.items() if theirs > 0},
        standings=standings,
        unlabelled_rows=unlabelled_rows,
    )
