"""From a record's fields to text, pair and the parts of a label; what does not fit is a `RowProblem`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limbeck.data.answers import read_answers
from limbeck.data.columns import WORD_NAMES, Roles
from limbeck.data.literals import parse_list
from limbeck.data.problems import RowProblem, character_problem
from limbeck.data.records import Columns
from limbeck.data.spans import from_spans, from_tags, is_spans, join_words

ON = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Negative:
    """A raw label: the text of a triplet that does not belong to the other two."""

    text: str


def read_texts(fields: Mapping[str, object], roles: Roles, columns: Columns) -> tuple[str, str | None]:
    """The text and the second text of a record.

    Raises:
        RowProblem: one is missing, empty, not a text, or the pair's separator is not there just once.
    """
    if (words := _words(fields, roles)) is not None:
        return join_words(words, roles.text)[0], None
    text = _text(fields, roles.text)
    if columns.pair_separator:
        parts = [part.strip() for part in text.split(columns.pair_separator)]
        if len(parts) != 2:
            times = "is missing" if len(parts) == 1 else f"occurs {len(parts) - 1} times"
            raise RowProblem(f"the pair separator {columns.pair_separator!r} {times}, expected once")
        if not all(parts):
            which = "first" if not parts[0] else "second"
            raise RowProblem(f"the {which} text, by {columns.pair_separator!r}, is empty")
        return parts[0], parts[1]
    return text, None if roles.pair is None else _text(fields, roles.pair)


def _text(fields: Mapping[str, object], column: str) -> str:
    value = fields.get(column)
    if isinstance(value, str):
        if not value or value.isspace():
            raise RowProblem(f"the text in {column!r} is empty")
        if problem := character_problem(value):
            raise RowProblem(f"the text in {column!r}: {problem}")
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise RowProblem(f"no text in {column!r}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise RowProblem(f"{column!r} is a {type(value).__name__}, expected a text")


def read_label(fields: Mapping[str, object], roles: Roles, columns: Columns) -> object:
    """The raw label: None, a string, a number, a boolean, a tuple of names where the row holds several, or entities, or
    answers.

    Of pairs that belong together the empty string, of triplets the third text.

    Raises:
        RowProblem: a column is not there, is not 0 or 1 where it must be, or holds something else.
    """
    if roles.negative:
        return Negative(_text(fields, roles.negative))
    if not roles.labels:
        return ""
    for column in roles.labels:
        if column not in fields:
            raise RowProblem(f"no label: the field {column!r} is missing")
    if roles.answers and roles.pair:
        return read_answers(fields[roles.labels[0]], _text(fields, roles.pair))
    if len(roles.labels) > 1:
        return tuple(column for column in roles.labels if _is_on(fields[column], column))
    value = fields[roles.labels[0]]
    if isinstance(value, str):
        value = value.strip()
        if problem := character_problem(value):
            raise RowProblem(f"label: {problem}")
        if columns.label_separator:
            return names(value.split(columns.label_separator))
        written = parse_list(value)
        if written is None:
            return value or None
        return _read_list(written, fields, roles, as_written=value)
    if isinstance(value, list | tuple):
        return _read_list(value, fields, roles)
    if value is None or isinstance(value, int | float):
        return None if isinstance(value, float) and math.isnan(value) else value
    raise RowProblem(f"the label is a {type(value).__name__}, expected a string, a number or a list")


def _read_list(
    values: Sequence[object], fields: Mapping[str, object], roles: Roles, as_written: str | None = None
) -> object:
    """A list of tags of words, of spans, or of names; such names stay `as_written`, for they may be one label."""
    if (words := _words(fields, roles)) is not None:
        return from_tags(values, join_words(words, roles.text)[1])
    if is_spans(values):
        return from_spans(values, _text(fields, roles.text))
    return as_written or names(values)


def _words(fields: Mapping[str, object], roles: Roles) -> Sequence[object] | None:
    """The words of a text that is a list of them, in a CSV file as a text that spells it; None of other texts."""
    value = fields.get(roles.text)
    if isinstance(value, str) and roles.text.lower() in WORD_NAMES:
        return parse_list(value)
    return value if isinstance(value, list | tuple) else None


def names(values: Sequence[object]) -> tuple[str, ...]:
    """The label names of a list, sorted, each once.

    Raises:
        RowProblem: an item is no name.
    """
    found = {label_name(value) for value in values}
    return tuple(sorted(name for name in found if name))


def label_name(value: object) -> str:
    """A label as its name: `3`, `true`, `joy`; 3.0 is `3`, as where a column of integers became floats.

    Raises:
        RowProblem: neither a string, nor a number, nor a boolean.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else str(value)
    raise RowProblem(f"the label holds {value!r}, expected a name")


def _is_on(value: object, column: str) -> bool:
    if isinstance(value, str):
        name = value.strip().lower()
    else:
        name = label_name(value) if isinstance(value, int | float) else str(value)
    if name in ("1.0", "0.0"):
        name = name[0]
    if name not in ON:
        raise RowProblem(f"the label column {column!r} is {value!r}, expected 0 or 1")
    return ON[name]
