"""Which task a column of labels is, and the labels as that task wants them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from limbeck.data.answers import Answers
from limbeck.data.literals import parse_list
from limbeck.data.problems import RowProblem
from limbeck.data.records import Columns
from limbeck.data.spans import SCHEMES, Entities
from limbeck.data.values import Negative, label_name, names
from limbeck.errors import UsageError
from limbeck.tasks import Label, Span

TASKS = ("classify", "multilabel", "regress", "tag", "embed", "answer")
UNNAMED = ("regress", "embed", "answer")  # tasks whose labels are no names
# More distinct integers than this are amounts, not classes.
MAX_INTEGER_CLASSES = 100
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
INTEGER = re.compile(r"[+-]?\d+")
NO_SCORES = (
    ": how alike the two texts are. Pass --label '' for pairs that all belong together; the third texts of triplets "
    "are found in a column named negative"
)


@dataclass(frozen=True, slots=True)
class Inferred:
    """A task and, as a sentence, why it is that one."""

    task: str
    why: str


def infer_task(raw: Sequence[object], columns: Columns, label_columns: Sequence[str]) -> Inferred:
    """The task that raw labels, as `values.read_label` returns them, are made for.

    A few labels that are no numbers among many that are do not make classes of numbers: they are bad rows of a
    regression.
    """
    if len(label_columns) > 1:
        return Inferred("multilabel", f"{len(label_columns)} label columns were named")
    if columns.label_separator:
        return Inferred("multilabel", f"labels are separated by {columns.label_separator!r}")
    there = [value for value in raw if value is not None]
    if any(isinstance(value, Answers) for value in there):
        return Inferred("answer", "the answers to questions are spans of their contexts")
    tagged = [value for value in there if isinstance(value, Entities)]
    if tagged:
        scheme = max((value.scheme for value in tagged), key=lambda name: SCHEMES.index(name) if name else -1)
        return Inferred("tag", f"words have tags ({scheme})" if scheme else "the labels are spans of the text")
    if any(isinstance(value, tuple) for value in there):
        return Inferred("multilabel", "the labels are lists")
    strings = [value for value in there if isinstance(value, str)]
    if strings and len(strings) == len(there) and all(parse_list(value) is not None for value in strings):
        return Inferred("multilabel", "the labels are lists, written as text")
    numbers = [number for number in map(_number, there) if number is not None]
    if len(numbers) > len(there) / 2 and not all(number.is_integer() for number in numbers):
        return Inferred("regress", "the labels are numbers, not all of them integers")
    distinct = len(set(numbers))
    if len(numbers) == len(there) and distinct > MAX_INTEGER_CLASSES:
        return Inferred("regress", f"the labels are {distinct:,} different integers")
    return Inferred("classify", "each label is one name")


def check_task(task: str) -> None:
    """Raise a `UsageError` unless this is a task of labelled texts."""
    if task not in TASKS:
        raise UsageError(f"the task {task!r} does not read labelled texts; expected {', '.join(TASKS)}")


def convert(raw: object, task: str) -> Label:
    """A raw label as the task's own.

    Raises:
        RowProblem: the label is missing or does not fit the task.
    """
    if task == "tag":
        return _convert_tag(raw)
    if task == "answer":
        return _convert_answers(raw)
    if isinstance(raw, Answers):
        raise RowProblem(f"the label holds answers, {list(raw.spans)!r:.80}, which only the task answer reads")
    if isinstance(raw, Entities):
        raise RowProblem(f"the label holds entities, {list(raw.spans)!r:.80}, which only the task tag reads")
    if task == "multilabel":
        return _convert_multilabel(raw)
    if task == "embed" and (raw == "" or isinstance(raw, Negative)):
        return raw.text if isinstance(raw, Negative) else ""
    if raw is None:
        raise RowProblem("no label")
    if isinstance(raw, tuple):
        raise RowProblem(f"the label is a list, {list(raw)!r}, and the task {task} expects one label a row")
    if task == "classify":
        return label_name(raw)
    number = _number(raw)
    if number is None or not math.isfinite(number):
        hint = NO_SCORES if task == "embed" else ""
        raise RowProblem(f"the label {raw!r:.80} is not a finite number, which the task {task} expects{hint}")
    return number


def _convert_multilabel(raw: object) -> tuple[str, ...]:
    if raw is None or isinstance(raw, tuple):
        return raw or ()
    items = parse_list(raw) if isinstance(raw, str) else None
    if items is None:
        raise RowProblem(
            f"the label {raw!r} is not a list, which the task multilabel expects; where one cell holds several "
            "labels, name what stands between them with --label-separator"
        )
    return names(items)


def _convert_tag(raw: object) -> tuple[Span, ...]:
    if isinstance(raw, Entities):
        return raw.spans
    if raw == () or (isinstance(raw, str) and parse_list(raw) == []):
        return ()
    raise RowProblem(
        f"the label {raw!r:.80} is neither a list of tags beside a list of words, nor a list of entities, as "
        '[{"start": 0, "end": 6, "label": "PER"}]'
    )


def _convert_answers(raw: object) -> tuple[Span, ...]:
    if isinstance(raw, Answers):
        return raw.spans
    raise RowProblem(f"the label {raw!r:.80} holds no answers, which the task answer reads from a column of its own")


def names_of(label: Label) -> tuple[str, ...]:
    """The names in a label, of any task: one, several, or those of its entities."""
    if not isinstance(label, tuple):
        return (str(label),)
    return tuple(item if isinstance(item, str) else item[2] for item in label)


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # an integer that no float can hold; as a text it is infinite too
            return math.inf
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else None


def label_order(labels: Iterable[Label], label_columns: Sequence[str]) -> tuple[str, ...]:
    """The names that occur, in their fixed order: as the columns were named, by number if integers, else sorted."""
    found: set[str] = set()
    for label in labels:
        found.update(names_of(label))
    if len(label_columns) > 1:
        return tuple(name for name in label_columns if name in found)
    if all(INTEGER.fullmatch(name) for name in found):
        return tuple(sorted(found, key=lambda name: (int(name), name)))
    return tuple(sorted(found))


def check_known(label: Label, task: str, known: Collection[str], where: str) -> None:
    """Raise a `RowProblem` if the label has a name that is not known.

    Args:
        label: the label, as `convert` returns it.
        task: the task; to `regress`, `embed` and `answer` anything is known.
        known: the names.
        where: what knows them, for the message: `the training rows`.
    """
    if task in UNNAMED:
        return
    unknown = [name for name in names_of(label) if name not in known]
    if unknown:
        raise RowProblem(f"the label {', '.join(map(repr, unknown))} is not among those of {where}")
