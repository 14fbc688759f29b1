"""`limbeck build`: from a file to a certified bundle and its report, in one command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any, TypedDict, Unpack

from limbeck.bundle import Bundle, check_files, read_bundle
from limbeck.console import say, stage
from limbeck.data.sources import open_input
from limbeck.distillation.wanted import parse_objective
from limbeck.engines.load import EngineName, usable_engines
from limbeck.errors import BundleError, CheckFailed, UsageError
from limbeck.recipes.arguments import check_numbers
from limbeck.recipes.compress import compress, compress_mark
from limbeck.recipes.distill import distill as distil
from limbeck.recipes.distilling.pruned import check_student_of_base
from limbeck.recipes.distilling.unlabelled import check_heeded
from limbeck.recipes.report import report
from limbeck.recipes.together import together
from limbeck.recipes.train import DEFAULT_BASE, TrainArguments, train
from limbeck.training.processes import join

# The arguments of a training that a student's training takes on.
TAUGHT_LIKE = (
    *("text", "pair", "label", "pair_separator", "label_separator", "skip_bad_rows", "epochs", "batch", "accumulate"),
    *("learning_rate", "warmup", "weight_decay", "dropout", "max_grad_norm", "patience", "freeze_embeddings"),
    *("precision", "budget_tokens", "checkpoint_seconds", "track", "seed", "overwrite"),
)


class _Proof(TypedDict):
    max_drop: float
    threads: int | None
    engine: list[EngineName]


@together
def build(
    data: str,
    *,
    out: str | Path,
    max_drop: float = 0.5,
    threads: int | None = None,
    engine: Sequence[EngineName] = (),
    distill: str | None = None,
    objective: str = "default",
    unlabelled: Sequence[str] = (),
    **training: Unpack[TrainArguments],
) -> Bundle:
    """Train, compress, prove and report: labelled text in, a certified bundle out.

    A build that was stopped goes on at the stage where it was, when it is started again with the same arguments.

    Example: `limbeck build reviews.csv --out model`

    Parameters
    ----------
    data
        A CSV, TSV, JSON, JSONL, Parquet or CoNLL file, a folder with train/validation/test files or texts, or a hub
        dataset.
    out
        The folder to write; if it exists it must be the work of these very arguments.
    max_drop
        The most that a compiled variant may lose, in points (hundredths) of the task's metric.
    threads
        Compute threads of the proof; by default what the CPU quota and affinity allow.
    engine
        What to compile for; see `limbeck compress`.
    distill
        Train a teacher, written to OUT-teacher, and let it teach a smaller model, as L3, 3x384 or pruned-2x; see
        `limbeck distill --student`.
    objective
        What the student learns; see `limbeck distill`.
    unlabelled
        Rows without labels for the student to learn from too; see `limbeck distill`.
    """
    check_numbers(max_drop=max_drop, threads=threads)
    proof: _Proof = {"max_drop": max_drop, "threads": threads, "engine": usable_engines(engine)}
    _check_student(distill, objective, unlabelled, training.get("base", DEFAULT_BASE))
    number, last = count(1), 3 if distill is None else 5

    def numbered(name: str) -> AbstractContextManager[None]:
        return stage(f"{next(number)}/{last} {name}")

    if distill is None:
        with numbered("Train"):
            bundle = train(data, out=out, **training)
    else:
        teacher = _compiled_teacher(data, Path(out), proof, numbered, training)
        shared: dict[str, Any] = {name: value for name, value in training.items() if name in TAUGHT_LIKE}
        shared |= {"student": distill, "objective": objective, "unlabelled": unlabelled}
        with numbered("Distil"):
            bundle = distil(teacher, data, out=out, **shared)
    if not join().first:  # the rest needs only one
        return bundle
    try:
        with numbered("Compress and prove"):
            bundle = _compressed(bundle, proof)
    except CheckFailed:
        say(f"  report: {report(bundle.folder)}")  # what was measured is most wanted when nothing holds
        raise
    with numbered("Report"):
        report(bundle.folder)
    return read_bundle(out)


def _check_student(student: str | None, objective: str, unlabelled: Sequence[str], base: str) -> None:
    """Raises, before a teacher is trained, what can be said to be wrong with its student already."""
    if student is None:
        for flag, value in (("--objective", objective if objective != "default" else ""), ("--unlabelled", unlabelled)):
            if value:
                raise UsageError(f"{flag}: is for what a student learns; name its shape with --distill")
        return
    weights = parse_objective(objective)
    check_heeded(unlabelled, weights)
    for source in unlabelled:
        open_input(source)
    check_student_of_base(student, base, weights, "--distill")


def _compiled_teacher(
    data: str,
    out: Path,
    proof: _Proof,
    numbered: Callable[[str], AbstractContextManager[None]],
    training: TrainArguments,
) -> Path:
    """The folder of a teacher, trained and, to be compared with, compiled where a variant holds."""
    with numbered("Train the teacher"):
        teacher = train(data, out=out.with_name(f"{out.name}-teacher"), **training)
    with numbered("Compress the teacher"):
        if join().first:
            try:
                _compressed(teacher, proof)
            except CheckFailed as error:
                say(f"  the teacher has no variant to compare with: {error}")
    return teacher.folder


def _compressed(bundle: Bundle, proof: _Proof) -> Bundle:
    done = bundle.manifest.arguments.get("compress", {}).get("fingerprint")
    if bundle.manifest.chosen and done == compress_mark(bundle, max_drop=proof["max_drop"], engine=proof["engine"]):
        try:
            check_files(bundle, bundle.manifest.compiled_files)
        except BundleError as error:
            say(f"  compiled anew: {error}")
        else:
            say("  compressed and proven with these arguments already; nothing to do")
            return bundle
    return compress(bundle.folder, **proof)
