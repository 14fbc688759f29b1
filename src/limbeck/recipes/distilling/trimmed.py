"""The student's vocabulary, cut to what the training rows use, and what its teacher reads of the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.console import megabytes
from limbeck.distillation.vocabulary import needed_ids, trim_embeddings
from limbeck.errors import CheckFailed
from limbeck.files import write_text
from limbeck.nn.model import TextModel
from limbeck.predictor import labelled_inputs
from limbeck.recipes.distilling.course import Course, Rows
from limbeck.recipes.distilling.student import Asked
from limbeck.recipes.distilling.taught import Read
from limbeck.recipes.distilling.unlabelled import with_unlabelled
from limbeck.recipes.training.trained import save_tokenizer
from limbeck.tasks import AnyTask
from limbeck.text import Tokenizer, Trimmed, trim_tokenizer, unknown_id
from limbeck.training.prepare import prepare

FLOAT32_BYTES = 4
_CHUNK = 4096  # texts; encoding thousands at once keeps all threads busy


@dataclass(frozen=True, slots=True)
class Reading:
    """What one of the two makes of held-out texts: the share of unknown tokens, and the mean number of tokens."""

    unknown: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What was cut of a vocabulary, for the manifest: `tokens` of `before` are kept; bytes are those of float32.

    `student` and `teacher` are how they read dev and test, by split.
    """

    tokens: int
    before: int
    parameters_saved: int
    bytes_saved: int
    student: dict[str, Reading]
    teacher: dict[str, Reading]

    def record(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """What was saved, and what it costs."""
        yield (
            f"vocabulary: {self.tokens:,} of {self.before:,} tokens kept, {self.parameters_saved:,} parameters fewer, "
            f"{megabytes(self.bytes_saved)} in fp32"
        )
        for split, ours in self.student.items():
            theirs = self.teacher[split]
            yield (
                f"{split} as the student reads it (and the teacher): {100 * ours.unknown:.2f} % unknown tokens "
                f"({100 * theirs.unknown:.2f} %), {ours.tokens:.1f} tokens a text ({theirs.tokens:.1f})"
            )


def cut_tokenizer(file: Path, model: TextModel, rows: Rows, task: AnyTask) -> Trimmed:
    """Cut the `tokenizer.json` at `file` to what the training rows use and the encoder needs.

    Raises `UsageError` for a tokenizer that cannot be cut.
    """
    tokenizer = Tokenizer(file)
    texts, pairs = labelled_inputs(task, rows.splits.train)
    every = [*texts, *(pairs or ()), *rows.unlabelled.texts, *(rows.unlabelled.pairs or ())]
    used = needed_ids(model)
    for start in range(0, len(every), _CHUNK):
        for piece in tokenizer.pieces(every[start : start + _CHUNK]):
            used.update(piece.ids)
    trimmed = trim_tokenizer(file.read_text("utf-8"), used)
    write_text(file, trimmed.content)
    return trimmed


@dataclass(frozen=True, slots=True)
class Both:
    """The rows as the student reads them, and as its teacher does: the same unless the vocabulary was `cut`.

    `limit` is the most tokens that the student can read. They may read by tokenizers quite `apart`.
    """

    ours: Read
    theirs: Read
    cut: Trimmed | None
    limit: int
    apart: bool = False

    @property
    def teacher_ids(self) -> NDArray[np.int64] | None:
        """The teacher's ids of the student's tokens; None where they are the same, or the teacher has others."""
        return None if self.cut is None or self.apart else self.cut.kept

    def lines(self) -> Iterator[str]:
        """By what either reads, where these are apart, and what the teacher cuts."""
        if self.apart:
            own, other = (Tokenizer(both.tokenizer).vocabulary_size for both in (self.ours, self.theirs))
            read = self.theirs.learnt
            yield (
                f"the student reads by its own tokenizer of {own:,} tokens, its teacher by one of {other:,}, "
                f"who cuts {read.truncated:,} of {len(read.train.rows):,} training rows at {read.max_tokens} tokens"
            )


def read_by_both(course: Course, asked: Asked, rows: Rows, *, trim: bool) -> Both:
    """Write the student's tokenizer into an empty folder, cut if wanted, and tokenise all splits.

    A student that reads by a tokenizer of its own chooses how many tokens by the lengths that it sees.

    Raises `UsageError` for a tokenizer that cannot be cut, and `CheckFailed` for one that then splits training rows
    otherwise, so that the student's tokens are none of the teacher's.
    """
    bundle, task, splits = course.bundle, course.task, rows.splits
    reads = asked.made.model if asked.made else course.master  # as many tokens as the student
    folder = course.work / "bundle"
    pad_id, limit = save_tokenizer(asked.tokenizer or str(bundle.folder), reads, None, folder)
    file, described = folder / "tokenizer.json", bundle.manifest.model
    longest = min(described.max_tokens, limit)
    cut = cut_tokenizer(file, reads, rows, task) if trim else None

    def read(file: Path, pad_id: int, longest: int | None) -> Read:
        prepared = prepare(splits, Tokenizer(file), task, max_tokens=longest, limit=limit)
        return Read(prepared, with_unlabelled(prepared, rows.unlabelled, Tokenizer(file), task), pad_id, file)

    own_pad_id = pad_id if cut is None else cut.number(pad_id)
    if asked.tokenizer is not None:
        ours = read(file, own_pad_id, None)
        return Both(ours, read(bundle.tokenizer_file, described.pad_id, described.max_tokens), cut, limit, apart=True)
    ours = read(file, own_pad_id, longest)
    if cut is None:
        return Both(ours, ours, None, limit)
    theirs = read(bundle.tokenizer_file, pad_id, longest)
    pairs = list(zip(ours.learnt.train.rows, theirs.learnt.train.rows, strict=False))
    same = len(pairs) == len(theirs.learnt.train.rows) == len(ours.learnt.train.rows)
    if not same or not all(np.array_equal(cut.kept[a.input_ids], b.input_ids) for a, b in pairs):
        raise CheckFailed(
            "--trim-vocabulary: when this tokenizer is cut it splits training rows otherwise, so that the teacher's "
            "tokens are not the student's: leave it out"
        )
    return Both(ours, theirs, cut, limit)


def trimmed_student(model: TextModel, task: AnyTask, both: Both) -> Vocabulary | None:
    """Cut the student's embeddings; what that saves, and how it reads now. None where nothing is to be cut."""
    if both.cut is None:
        return None
    before = model.encoder.get_input_embeddings().num_embeddings
    saved = trim_embeddings(model, both.cut.kept)
    return Vocabulary(
        tokens=len(both.cut.kept),
        before=before,
        parameters_saved=saved,
        bytes_saved=saved * FLOAT32_BYTES,
        student=_readings(both.ours, task),
        teacher=_readings(both.theirs, task),
    )


def _readings(read: Read, task: AnyTask) -> dict[str, Reading]:
    unknown, tokenizer = unknown_id(read.tokenizer.read_text("utf-8")), Tokenizer(read.tokenizer)
    found = {}
    for name, split in (("dev", read.prepared.dev), ("test", read.prepared.test)):
        ids = np.concatenate([row.input_ids for row in split.rows])
        texts = 1 if labelled_inputs(task, split.dataset)[1] is None else 2
        special = sum(len(part.input_ids) for part in tokenizer.special_tokens(texts))
        words = len(ids) - special * len(split.rows)
        found[name] = Reading(
            unknown=0.0 if unknown is None else float((ids == unknown).sum()) / max(words, 1),
            tokens=len(ids) / len(split.rows),
        )
    return found
