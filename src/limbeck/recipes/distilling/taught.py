"""What a student is taught: its rows and its task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from limbeck.bundle import Bundle, Source
from limbeck.data import Columns, Splits, load_splits
from limbeck.data.records import USUAL
from limbeck.data.sources import open_source
from limbeck.errors import DataError
from limbeck.recipes.augmenting.files import is_augmented
from limbeck.recipes.training.choices import task_of
from limbeck.tasks import AnyTask, Embed, make_task
from limbeck.training.prepare import Prepared

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Read:
    """The rows in the tokens of one of the two, with its padding id and its tokenizer.

    `learnt` has the rows without labels behind those to train on.
    """

    prepared: Prepared
    learnt: Prepared
    pad_id: int
    tokenizer: Path


def columns_of(bundle: Bundle, data: str, said: Columns) -> Columns:
    """The columns that were named, else those of the teacher's data, but the usual ones of what `augment` wrote."""
    if any(asdict(said).values()):
        return said
    tables = [table for split in open_source(data, train_needed=False).splits.values() for table in split]
    return USUAL if any(map(is_augmented, tables)) else Columns(**bundle.manifest.source.columns)


def read_rows(bundle: Bundle, data: str, columns: Columns, skipped: Path | None) -> Splits:
    """The rows to learn from.

    Raises `DataError` for labels that the teacher does not know, and for one text a row where it reads two, or two.
    """
    task = bundle.manifest.task
    splits = load_splits(data, columns, task=task.name, skipped=skipped)
    unknown = [label for label in splits.labels if label not in task.labels]
    if unknown:
        raise DataError(
            f"{data} has labels that the teacher does not know, {', '.join(map(repr, unknown[:10]))}: expected "
            f"{', '.join(map(repr, task.labels[:20]))}"
        )
    pairs = splits.train.pairs is not None
    if task.name != "embed" and pairs != bundle.manifest.model.pair:
        reads, has = ("pairs", "single texts") if bundle.manifest.model.pair else ("single texts", "pairs")
        raise DataError(f"{data} has {has}, and the teacher reads {reads}: name the columns")
    return replace(splits, notes=(*splits.notes, *_notes_on_rows(splits, bundle.manifest.source)))


def _notes_on_rows(splits: Splits, of_teacher: Source) -> Iterator[str]:
    """What the teacher may know of the rows that judge."""
    if splits.sha256 == of_teacher.sha256:
        return
    if splits.held_out_sha256 == of_teacher.held_out_sha256:
        yield "Dev and test are the rows that were set aside from the teacher too; those to train on are not the same."
    else:
        yield "Not the rows that the teacher was trained on: it may have learnt some that judge both here."


def student_task(bundle: Bundle, splits: Splits) -> AnyTask:
    """The teacher's task, not yet calibrated, with all of its labels in their order."""
    task = bundle.manifest.task
    if isinstance(task, Embed):
        return task_of(splits, task.normalized)
    return make_task(task.name, task.labels)
