"""Those who teach: one bundle or several, opened, asked for their answers, and judged on the student's rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.bundle import Bundle, Variant, read_bundle
from limbeck.distillation.objectives import mean_of_teachers
from limbeck.distillation.wanted import OF_ANSWERS, WITHOUT_STATES, Weights
from limbeck.engines import Engine, compute_logits
from limbeck.engines.load import load_engine
from limbeck.engines.torch_engine import TorchEngine
from limbeck.errors import UsageError
from limbeck.nn.model import TextModel, load_model
from limbeck.predictor import labelled_logits
from limbeck.recipes.distilling.taught import Read, Scores
from limbeck.tasks import AnyTask, Embed, Logits
from limbeck.training.prepare import TokenizedSplit
from limbeck.training.processes import join


@dataclass(frozen=True, slots=True)
class Teacher:
    """A bundle that answers: by its weights, in `model` where they are loaded already, or by a compiled `variant`."""

    bundle: Bundle
    variant: Variant | None = None
    model: TextModel | None = None

    def sha256(self) -> str:
        """One hash of all files that its answers depend on."""
        manifest = self.bundle.manifest
        answering = () if self.variant is None else self.variant.files
        kept = manifest.trained_files | {name: manifest.files[name] for name in answering}
        return hashlib.sha256(repr(sorted(kept.items())).encode()).hexdigest()

    def engine(self) -> Engine:
        """What computes its answers."""
        if self.variant is not None:
            return load_engine(self.bundle.folder, self.variant)
        manifest = self.bundle.manifest
        model = self.model or load_model(self.bundle.folder, manifest.task, pooling=manifest.model.pooling)
        return TorchEngine(model.to(join().device))


@dataclass(frozen=True, slots=True)
class Judged:
    """What the teachers score on the rows that judge the student, all together and each, and what each test row says
    of them together.
    """

    scores: Scores
    each: tuple[Scores, ...]
    evidence: NDArray[np.float64]


def open_teachers(teacher: str, others: Sequence[str], variant: str | None, weights: Weights) -> tuple[Teacher, ...]:
    """The first teacher, answering by its `variant` if one is named, and the `others` by their weights.

    Raises `UsageError` where they differ in task, labels or tokenizer, for a variant that is not there, and where the
    objective does not ask for answers, or of a variant for more than answers.
    """
    bundle = read_bundle(teacher)
    answers = [name for name in weights if name in OF_ANSWERS]
    named = [f"--with-teacher {other}" for other in others] + [f"--teacher-variant {variant}"] * (variant is not None)
    if named and not answers:
        raise UsageError(f"{named[0]}: has no meaning without one of {', '.join(OF_ANSWERS)} in --objective")
    if variant is not None and (inner := [name for name in weights if name not in WITHOUT_STATES]):
        raise UsageError(
            f"--teacher-variant {variant}: a compiled variant gives answers alone, and the objective asks for "
            f"{', '.join(inner)}: leave out one or the other"
        )
    found = [Teacher(bundle, None if variant is None else bundle.variant(variant))]
    for other in others:
        found.append(Teacher(read_bundle(other)))
        if problems := list(_differences(bundle, found[-1].bundle)):
            raise UsageError(f"--with-teacher {other}: {'; '.join(problems)}")
    return tuple(found)


def check_out(out: Path, teachers: Sequence[str]) -> None:
    """Raises `UsageError` where the student would be written over one of its teachers."""
    if any(out.resolve() == Path(teacher).resolve() for teacher in teachers):
        raise UsageError(f"--out {out}: is the teacher's own folder; the student needs another")


def _differences(first: Bundle, other: Bundle) -> Iterator[str]:
    """In what another teacher is none of the same thing."""
    ours, theirs = first.manifest, other.manifest
    if ours.task.name == "embed":
        yield "vectors of several embedders have no mean: expected one teacher"
    if ours.task.name != theirs.task.name:
        yield f"expected the task {ours.task.name}, and it has {theirs.task.name}"
    elif ours.task.labels != theirs.task.labels:
        apart = ", ".join(map(repr, sorted({*ours.task.labels} ^ {*theirs.task.labels})[:10]))
        yield f"expected the same labels, and {f'it differs in {apart}' if apart else 'their order is another'}"
    if ours.model.pair != theirs.model.pair:
        yield f"expected one that reads {'pairs' if ours.model.pair else 'single texts'}"
    if _tokenizer(first) != _tokenizer(other):
        yield "expected the same tokenizer"
    if theirs.model.longest_input < ours.model.max_tokens:
        yield f"expected one that reads {ours.model.max_tokens} tokens, and it reads {theirs.model.longest_input}"


def _tokenizer(bundle: Bundle) -> dict[str, Any]:
    """A `tokenizer.json` without what is decided a call at a time."""
    content: dict[str, Any] = json.loads(bundle.tokenizer_file.read_text("utf-8"))
    return {name: value for name, value in content.items() if name not in ("truncation", "padding", "version")}


def judge_teachers(teachers: Sequence[Teacher], task: AnyTask, read: Read) -> Judged:
    """Several are calibrated together on the dev rows, as a student is."""
    bundle, prepared = teachers[0].bundle, read.prepared
    splits = (prepared.dev, prepared.test)
    apart = [[_logits(engine, split, read) for split in splits] for engine in (t.engine() for t in teachers)]

    def judged(judge: AnyTask, dev: Logits, test: Logits) -> tuple[Scores, NDArray[np.float64]]:
        scores = {"dev": judge.scores(dev, prepared.dev.targets), "test": judge.scores(test, prepared.test.targets)}
        return scores, judge.evidence(test, prepared.test.targets)

    def merged(found: Logits, split: TokenizedSplit) -> Logits:
        return labelled_logits(task, split.rows, found)

    each = [
        judged(
            task if isinstance(task, Embed) else teacher.bundle.manifest.task,
            *(merged(found, split) for found, split in zip(logits, splits, strict=True)),
        )
        for teacher, logits in zip(teachers, apart, strict=True)
    ]
    if len(teachers) == 1:
        return Judged(each[0][0], (each[0][0],), each[0][1])
    dev, test = (merged(_mean_logits(task, [logits[i] for logits in apart]), split) for i, split in enumerate(splits))
    scores, evidence = judged(bundle.manifest.task.calibrated(dev, prepared.dev.targets), dev, test)
    return Judged(scores, tuple(own for own, _ in each), evidence)


def _logits(engine: Engine, split: TokenizedSplit, read: Read) -> Logits:
    return compute_logits(engine.run, split.rows, pad_id=read.pad_id, max_tokens=read.prepared.max_tokens)


def _mean_logits(task: AnyTask, apart: Sequence[Logits]) -> Logits:
    """The mean answer of several; -inf stays where a row has no such unit."""
    found = mean_of_teachers(torch.from_numpy(np.stack(apart)), task.name, 1.0).numpy()
    return np.where(np.isneginf(apart[0]), apart[0], found)


def name_of(teacher: Teacher) -> str:
    """The teacher's folder, and the variant that answers."""
    return str(teacher.bundle.folder) + (f" ({teacher.variant.name})" if teacher.variant is not None else "")


def teacher_lines(teachers: Sequence[Teacher], judged: Judged, metric: str, weights: Weights) -> Iterator[str]:
    """What each of several scores on test, and all together."""
    if len(teachers) > 1:
        scores = ", ".join(
            f"{name_of(t)} {own['test'][metric]:.4f}" for t, own in zip(teachers, judged.each, strict=True)
        )
        yield f"{metric} on test: {scores}; the mean of their probabilities {judged.scores['test'][metric]:.4f}"
        if inner := [name for name in weights if name not in WITHOUT_STATES]:
            yield f"{', '.join(inner)}: learnt from {name_of(teachers[0])} alone"
