"""What a distillation goes by: its rows, its teachers, and what was asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.bundle import Bundle
from limbeck.data import Columns, Corpus, Splits, load_corpus
from limbeck.data.columns import named_in_training
from limbeck.distillation.layer_maps import LayerMap
from limbeck.distillation.wanted import Weights
from limbeck.nn.model import TextModel
from limbeck.nn.precision import Precision
from limbeck.nn.resolve import base_sha256
from limbeck.recipes.arguments import fingerprint
from limbeck.recipes.distilling.taught import columns_of, read_rows
from limbeck.recipes.distilling.teachers import Teacher
from limbeck.recipes.distilling.unlabelled import Unlabelled, read_unlabelled
from limbeck.recipes.tracking import Tracker
from limbeck.tasks import AnyTask
from limbeck.training.plan import Plan


@dataclass(frozen=True, slots=True)
class Rows:
    """The labelled rows with the columns that they were read by, those without labels, and `plain` text."""

    columns: Columns
    splits: Splits
    unlabelled: Unlabelled
    plain: Corpus | None

    @property
    def to_learn(self) -> int:
        """How many there are to learn from, with and without labels."""
        return len(self.splits.train) + len(self.unlabelled.texts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of them."""
        return (*self.splits.notes, *self.unlabelled.notes, *(self.plain.notes if self.plain else ()))

    def mark(self, arguments: dict[str, Any], teachers: Sequence[Teacher]) -> str:
        """The fingerprint of a distillation: of rows, teachers and a base their content counts, not where they lie."""
        content = {
            "unlabelled": self.unlabelled.sha256,
            "teacher": [teacher.sha256() for teacher in teachers],
            "general": self.plain and self.plain.sha256,
            "start_sha256": arguments["start"] and base_sha256(arguments["start"]),
        }
        return fingerprint({**arguments, "data": None, "with_teacher": None, **content}, self.splits.sha256)


def rows_of(
    bundle: Bundle,
    data: str,
    said: Columns,
    unlabelled: Sequence[str],
    general: str | None,
    weights: Weights,
    skipped: Path | None,
) -> Rows:
    """Read `data` as the rows of the teacher's `bundle` were read, the files or folders `unlabelled`, and plain text.

    `said` are the columns that were named; `weights` and `skipped` are as for `read_unlabelled`.
    """
    columns = columns_of(bundle, data, said)
    with named_in_training(said):
        splits = read_rows(bundle, data, columns, skipped)
        others = read_unlabelled(unlabelled, bundle, said, splits, weights, skipped)
    return Rows(columns, splits, others, None if general is None else load_corpus(general))


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What was asked of a distillation of `task`, by `teachers` of whom the first is `master`.

    `student`, `start` and `arguments` are as the flags have them, `layers_first` is a number of epochs, and `weights`
    are those of the objectives. `out` becomes a bundle, with the fingerprint `mark`; until then all lies in `work`,
    marked by `fingerprint`, which leaves out what changes no weight.
    """

    teachers: tuple[Teacher, ...]
    master: TextModel
    task: AnyTask
    student: str | None
    start: str | None
    weights: Weights
    layers_first: int
    layer_map: LayerMap
    temperature: float
    plan: Plan
    dropout: float
    freeze_embeddings: bool
    precision: Precision | None
    track: Tracker | None
    out: Path
    fingerprint: str
    mark: str
    arguments: dict[str, Any]

    @property
    def bundle(self) -> Bundle:
        """That of the first teacher."""
        return self.teachers[0].bundle

    @property
    def work(self) -> Path:
        """Where unfinished work is kept."""
        return self.out.parent / f".{self.out.name}.training"
