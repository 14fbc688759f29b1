"""The teacher of a distillation: opened, judged on the student's rows, and set beside the student in the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.bundle import Bundle, Source
from limbeck.console import megabytes, progress_bar, say
from limbeck.data import Columns, Splits, load_splits
from limbeck.data.records import USUAL
from limbeck.data.sources import open_source
from limbeck.distillation.answers import Answers, answers_file, answers_shape, teacher_answers
from limbeck.distillation.layer_maps import LayerMap
from limbeck.distillation.wanted import Weights
from limbeck.engines import compute_logits
from limbeck.engines.torch_engine import TorchEngine
from limbeck.errors import DataError
from limbeck.measure.contest import Standing
from limbeck.nn.model import TextModel
from limbeck.predictor import labelled_logits
from limbeck.recipes.augmented_files import is_augmented
from limbeck.recipes.training_choices import task_of
from limbeck.tasks import AnyTask, Embed, Logits, make_task
from limbeck.training.prepare import Prepared, TokenizedSplit
from limbeck.training.processes import join

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Taught:
    """What a student was taught and by whom, for the manifest.

    `start`, `started_from` and `states_kept` say what the student began as: see `Student`; `pruned` what stayed of each
    layer, and `vocabulary` what was cut, as records. `retention` is its metric in percent of the teacher's, of each
    split where that is above 0; `standings` set it beside the teacher and others on test. It also learnt from
    `unlabelled_rows`.
    """

    teacher: str
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
    vocabulary: dict[str, Any] | None
    retention: dict[str, float]
    standings: list[Standing]
    unlabelled_rows: int

    def with_student(self, metric: str, scores: Scores) -> Taught:
        """With the retention of a student that scores this."""
        pairs = {split: (scores[split][metric], values[metric]) for split, values in self.teacher_scores.items()}
        return replace(self, retention={s: 100 * ours / theirs for s, (ours, theirs) in pairs.items() if theirs > 0})

    def record(self) -> dict[str, Any]:
        """As it stands in the manifest, which has lists and no tuples."""
        lists = {"layer_map": [list(pair) for pair in self.layer_map], "started_from": list(self.started_from)}
        return asdict(self) | lists


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


def weights_sha256(bundle: Bundle) -> str:
    """One hash of all files that the teacher's answers depend on."""
    files = sorted((name, sha) for name, sha in bundle.manifest.files.items() if not name.startswith("onnx/"))
    return hashlib.sha256(repr(files).encode()).hexdigest()


def judged_teacher(bundle: Bundle, model: TextModel, task: AnyTask, read: Read) -> tuple[Scores, NDArray[np.float64]]:
    """What the teacher scores on the rows that judge the student, and what each test row says of it."""
    judge = task if isinstance(task, Embed) else bundle.manifest.task
    engine, prepared = TorchEngine(model), read.prepared

    def logits(split: TokenizedSplit) -> Logits:
        found = compute_logits(engine.run, split.rows, pad_id=read.pad_id, max_tokens=prepared.max_tokens)
        return labelled_logits(judge, split.rows, found)

    dev, test = logits(prepared.dev), logits(prepared.test)
    scores = {"dev": judge.scores(dev, prepared.dev.targets), "test": judge.scores(test, prepared.test.targets)}
    return scores, judge.evidence(test, prepared.test.targets)


def kept_answers(bundle: Bundle, model: TextModel, task: AnyTask, read: Read, *, mean: float, scale: float) -> Answers:
    """The teacher's answers to the training rows, computed once on each machine; says how large they are before."""
    processes, rows = join(), read.learnt.train.rows
    shape = answers_shape(model, task, rows)
    path = answers_file(bundle.manifest, rows, mean=mean, scale=scale)
    size = megabytes(int(np.prod(shape, dtype=np.int64)) * np.dtype(np.float16).itemsize)
    shown = " x ".join(f"{n:,}" for n in shape)
    with processes.first_on_each_machine():
        found = "found at" if path.is_file() else "to be kept at"
        say(f"  the teacher's answers to the training rows, {shown} in half precision, {size}: {found} {path}")
        with progress_bar("texts", len(rows)) as update:
            done = 0

            def on_batch(count: int) -> None:
                nonlocal done
                done += count
                update(done, "answered by the teacher")

            model.to(processes.device)
            return teacher_answers(
                path, model, rows, shape, pad_id=read.pad_id, mean=mean, scale=scale, on_batch=on_batch
            )
