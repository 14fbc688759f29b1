"""The student of a distillation: its shape, what it begins as, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_args

from limbeck.bundle import Bundle
from limbeck.console import say
from limbeck.distillation.basis import hidden_basis
from limbeck.distillation.layer_maps import USUAL, LayerMap, layer_map_lines, parse_layer_map
from limbeck.distillation.lesson import check_sizes
from limbeck.distillation.narrowing import why_not_narrowed
from limbeck.distillation.pruning import PRUNED, pruned_student
from limbeck.distillation.shapes import Shape, parse_shape, shape_of
from limbeck.distillation.speedup import parse_speedup
from limbeck.distillation.students import Start, Student, check_start, new_student, usual_start
from limbeck.distillation.wanted import BY_LAYER_MAP, WITHOUT_STATES, Weights
from limbeck.errors import UsageError
from limbeck.nn.base import load_config, load_tokenizer
from limbeck.nn.model import TextModel, new_model
from limbeck.nn.resolve import resolve_base
from limbeck.recipes.distilling.pruned import Pruning, asked_shape
from limbeck.recipes.distilling.taught import Read
from limbeck.tasks import Answer, AnyTask, Tag
from limbeck.training.processes import join


@dataclass(frozen=True, slots=True)
class Asked:
    """The student that is asked for. One of a base is there already; the others are made when the rows are known.

    `tokenizer` names the base whose tokenizer it reads by, where that is not its teacher's.
    """

    shape: Shape
    start: str
    made: Student | None = None
    tokenizer: str | None = None


def asked_student(
    start: str | None,
    student: str | None,
    bundle: Bundle,
    master: TextModel,
    task: AnyTask,
    weights: Weights,
    dropout: float,
) -> Asked:
    """What `--start` and `--student` ask for.

    Raises `UsageError` for a shape that is missing, that the start cannot have, or that is not that of the base, and
    for a base with another vocabulary where more than answers to whole texts is to be learnt, by the objectives with
    `weights`; `BaseModelError` for one that cannot be loaded.
    """
    if start is not None and is_base(start):
        return _of_base(start, student, bundle, task, weights, dropout)
    shape = asked_shape(name := _needed(student), master.config)
    if parse_speedup(name) is not None:
        return Asked(shape, PRUNED)
    chosen = usual_start(master, shape) if start is None else cast(Start, start)
    check_start(chosen, master, shape)
    return Asked(shape, chosen)


def check_start_name(start: str | None) -> None:
    """Raises `UsageError` for a start that is no base, but nearly the name of another start."""
    if start is None or not is_base(start) or Path(start).exists():
        return
    if meant := get_close_matches(start, get_args(Start), n=1):
        raise UsageError(
            f"--start {start}: did you mean {meant[0]}? Expected {', '.join(get_args(Start))}, or a base: a hub id, a "
            "folder, or package:NAME/path"
        )


def is_base(start: str | None) -> bool:
    """Whether a start is a base of its own, and not made of the teacher."""
    return start is not None and start not in get_args(Start)


def check_student(
    student: str | None, start: str | None, teacher: Bundle, weights: Weights, layer_map: str | None, general: Weights
) -> None:
    """Raises `UsageError` for no shape, or one that no student of this teacher can have, or not with the objectives
    that have `weights`, and for a layer map that does not fit; a base has its own shape.
    """
    if not is_base(start):
        config = load_config(str(teacher.folder))
        shape = asked_shape(_needed(student), config)
        check_sizes(shape_of(config), shape, teacher.manifest.task, weights)
        layer_map_of(layer_map, weights, shape, config, general=general)


def layer_map_of(text: str | None, weights: Weights, shape: Shape, teacher: Any, *, general: Weights) -> LayerMap:
    """The layer map, empty where no objective with `weights` goes layer for layer; `teacher` is its configuration.

    Raises `UsageError` for one that does not fit, or that neither these objectives nor those of a `general` stage heed.
    """
    heeded = any(name in weights for name in BY_LAYER_MAP)
    if text is None and not heeded:
        return ()
    found = parse_layer_map(text or USUAL, student_layers=shape.layers, teacher_layers=teacher.num_hidden_layers)
    if not heeded and not any(name in general for name in BY_LAYER_MAP):
        raise UsageError(f"--layer-map {text}: has no meaning without one of {', '.join(BY_LAYER_MAP)} in --objective")
    return found if heeded else ()


def unlike_base(teacher: Bundle, base: TextModel) -> str | None:
    """In what sizes the encoder of a teacher is not the base that it was made of; None where it is as large.

    It is not where it was a student itself: narrower, pruned, or with fewer tokens.
    """
    ours = load_config(str(teacher.folder))
    there, here = shape_of(base.config), shape_of(ours)
    sizes = {
        "wide": (here.hidden_size, there.hidden_size),
        "heads": (here.heads, there.heads),
        "feed-forward units": (here.intermediate_size, there.intermediate_size),
        "tokens": (ours.vocab_size, base.config.vocab_size),
    }
    apart = [f"{one:,} {what}, not {other:,}" for what, (one, other) in sizes.items() if one != other]
    return f"the teacher has other sizes: {', '.join(apart)}" if apart else None


def begun_student(
    asked: Asked, master: TextModel, task: AnyTask, read: Read, *, pruning: Pruning | None, dropout: float
) -> Student:
    """The student as it begins, with its whole vocabulary; `read` are the rows as its teacher reads them.

    Raises `UsageError` where it is to be pruned, and `master` is of other sizes.
    """
    if asked.made is not None:
        return asked.made
    if pruning is not None:
        return pruned_student(master, task, pruning.kept, dropout=dropout)
    processes = join()
    master.to(processes.device)
    return new_student(
        master,
        task,
        asked.shape,
        cast(Start, asked.start),
        dropout=dropout,
        basis=lambda: processes.on_first(
            lambda: hidden_basis(master, read.prepared.train.rows, asked.shape.hidden_size, pad_id=read.pad_id)
        ),
    )


def student_lines(made: Student, master: TextModel, weights: Weights, layer_map: LayerMap) -> Iterator[str]:
    """The student, how large it is beside its teacher, its objective and its layer map."""
    yield f"the student: {made.shape}, started from {_begun(made, master)}"
    yield _size_line(made.model, master)
    yield "the objective: " + ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
    if layer_map:
        yield from layer_map_lines(layer_map, student_layers=made.shape.layers)


def _needed(student: str | None) -> str:
    if student is None:
        raise UsageError(
            "--student: expected a shape, as L3, 3x384 or pruned-2x; only with --start BASE is it that of the base"
        )
    return student


def _size_line(student: TextModel, teacher: TextModel) -> str:
    ours, theirs = student.parameter_count, teacher.parameter_count
    share = f"{ours / 1e6:.1f} M parameters, {100 * ours / theirs:.0f} % of its teacher's"
    return share if ours < theirs else f"{share}: it is NO SMALLER"


def _begun(made: Student, teacher: TextModel) -> str:
    if made.start == "random":
        reason = why_not_narrowed(teacher, made.shape)
        return "random weights" + (f", for it cannot be made of its teacher: {reason}" if reason else "")
    if not made.started_from:
        return made.start
    layers = f"layers {', '.join(map(str, made.started_from))} of the teacher"
    if made.basis is None:
        return layers
    return f"{layers}, narrowed to {100 * made.basis.kept:.1f} % of their hidden states"


def _of_base(base: str, student: str | None, bundle: Bundle, task: AnyTask, weights: Weights, dropout: float) -> Asked:
    with join().first_on_each_machine():
        folder = resolve_base(base, note=lambda line: say(f"  {line}"))
        ours, theirs = (load_tokenizer(source).get_vocab() for source in (folder, str(bundle.folder)))
        if ours != theirs:
            _check_tokens(base, ours, theirs, task, weights)
        model = new_model(folder, task, pooling=bundle.manifest.model.pooling, dropout=dropout)
    shape = shape_of(model.config)
    if student is not None and parse_shape(student, shape, deeper=True) != shape:
        raise UsageError(
            f"--student {student}: a base is taken whole, and {base} has {shape}: leave --student out, or name a "
            "smaller base with --start"
        )
    name = base if Path(folder).exists() else folder
    return Asked(shape, name, Student(model, shape, name), None if ours == theirs else folder)


def _check_tokens(base: str, ours: dict[str, int], theirs: dict[str, int], task: AnyTask, weights: Weights) -> None:
    """Raises `UsageError` where a base reads other tokens than the teacher, and more than answers is to be learnt."""
    other = sorted({token for token, _ in ours.items() ^ theirs.items()}, key=lambda token: (len(token), token))
    apart = (
        f"--start {base}: has another vocabulary than the teacher, {len(ours):,} and {len(theirs):,} tokens, of which "
        f"{len(other):,} differ, such as {', '.join(map(repr, other[:3]))}"
    )
    if isinstance(task, Tag | Answer):
        raise UsageError(f"{apart}: the task {task.name} answers token by token, so take a base of the same vocabulary")
    if inside := [name for name in weights if name not in WITHOUT_STATES]:
        raise UsageError(
            f"{apart}: {', '.join(inside)} compare states of equal tokens. Take a base of the same vocabulary, or an "
            f"--objective of answers alone: {', '.join(WITHOUT_STATES)}"
        )
