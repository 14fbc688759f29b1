"""Which layer of the teacher each layer of the student learns from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from limbeck.errors import UsageError

LayerMap = tuple[tuple[int, int], ...]
"""Pairs of a student's layer and the teacher's layer that it learns from, both counted from 0 at the input."""

USUAL = "middle"

_PAIR = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*")


def uniform(student_layers: int, teacher_layers: int) -> LayerMap:
    """Each layer learns from the last of its even share of the teacher's layers (Jiao et al. 2020, TinyBERT).

    Shares that are no whole numbers are rounded, so that the teacher's layers need not be a multiple of the student's.
    """
    return tuple((i, _share_ends(i, student_layers, teacher_layers)) for i in range(student_layers))


def middles(student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    """The teacher's layers that a student begins as: the middle one of each of its even shares, the lower of two.

    Of a student with half of the layers every other one, as for DistilBERT (Sanh et al. 2019). Students that began as
    the last ones of the shares stayed further from their teacher.
    """
    return tuple(-(-(2 * i + 1) * teacher_layers // (2 * student_layers)) - 1 for i in range(student_layers))


def middle(student_layers: int, teacher_layers: int) -> LayerMap:
    """Each layer learns from the one that it begins as: see `middles`."""
    return tuple(enumerate(middles(student_layers, teacher_layers)))


def last(student_layers: int, teacher_layers: int) -> LayerMap:
    """The student's layers learn from the teacher's last ones (Sun et al. 2019, PKD-Last, with the very last one)."""
    return tuple((i, teacher_layers - student_layers + i) for i in range(student_layers))


def skip(student_layers: int, teacher_layers: int) -> LayerMap:
    """As `uniform`, but the student's last layer learns from the answers alone (Sun et al. 2019, PKD-Skip)."""
    return uniform(student_layers, teacher_layers)[:-1]


_NAMED: dict[str, Callable[[int, int], LayerMap]] = {USUAL: middle, "uniform": uniform, "last": last, "skip": skip}


def parse_layer_map(text: str, *, student_layers: int, teacher_layers: int) -> LayerMap:
    """The map called `middle`, `uniform`, `last` or `skip`, or one by hand, as `0:0,1:4`: student's layer, teacher's.

    Raises `UsageError`, naming all that is wrong, for what is neither, and for layers that a model has not.
    """
    if text in _NAMED:
        if student_layers > teacher_layers:
            raise UsageError(
                f"--layer-map {text}: the student has {student_layers} layers, and its teacher {teacher_layers}: "
                "expected pairs written out, as 0:0,1:0"
            )
        found = _NAMED[text](student_layers, teacher_layers)
        if not found:
            raise UsageError("--layer-map skip: leaves a student of one layer nothing to learn; take middle or last")
        return found
    matches = [_PAIR.fullmatch(part) for part in text.split(",")]
    if not all(matches):
        raise UsageError(
            f"--layer-map {text!r}: expected {', '.join(_NAMED)}, or pairs of a layer of the student and one of the "
            "teacher, counted from 0, as 0:0,1:4"
        )
    pairs = tuple((int(match[1]), int(match[2])) for match in matches if match)
    problems = [f"the student has no layer {s} (0 to {student_layers - 1})" for s, _ in pairs if s >= student_layers]
    problems += [f"the teacher has no layer {t} (0 to {teacher_layers - 1})" for _, t in pairs if t >= teacher_layers]
    twice = sorted({s for s, _ in pairs if sum(s == other for other, _ in pairs) > 1})
    problems += [f"layer {s} of the student occurs twice" for s in twice]
    if problems:
        raise UsageError(f"--layer-map {text}: {'; '.join(problems)}")
    return tuple(sorted(pairs))


def layer_map_lines(pairs: LayerMap, *, student_layers: int) -> Iterator[str]:
    """The map as a table, the student's layers from the input up."""
    teachers = dict(pairs)
    yield "layer of the student   learns from layer of the teacher"
    for layer in range(student_layers):
        yield f"{layer:<22} {teachers.get(layer, '–')}"


def _share_ends(layer: int, student_layers: int, teacher_layers: int) -> int:
    """The last layer of the share, halves rounded up."""
    return ((layer + 1) * 2 * teacher_layers + student_layers) // (2 * student_layers) - 1
