"""From tables to labelled rows: texts and raw labels first, then, the task being known, the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.data.columns import Roles
from limbeck.data.labels import check_known, convert
from limbeck.data.problems import BadRows, RowProblem
from limbeck.data.records import Columns, Dataset, Record, Table
from limbeck.data.values import read_label, read_texts
from limbeck.errors import DataError
from limbeck.tasks import Label


@dataclass(frozen=True, slots=True)
class Row:
    """A record with its text and its raw label, or with what is wrong with it."""

    table: Table
    record: Record
    text: str = ""
    pair: str | None = None
    raw: object = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """The labels that may occur, and what knows them, for messages."""

    labels: frozenset[str]
    where: str


def read_rows(table: Table, roles: Roles, columns: Columns) -> list[Row]:
    """All rows of a table, the bad ones with their problem."""
    return [_read_row(table, record, roles, columns) for record in table.records()]


def _read_row(table: Table, record: Record, roles: Roles, columns: Columns) -> Row:
    if record.problem:
        return Row(table, record, problem=record.problem)
    try:
        text, pair = read_texts(record.fields, roles, columns)
        return Row(table, record, text, pair, read_label(record.fields, roles, columns))
    except RowProblem as problem:
        return Row(table, record, problem=str(problem))


def to_dataset(rows: Sequence[Row], task: str, bad: BadRows, known: Known | None = None) -> Dataset:
    """The rows as a data set, in their order; the bad ones go to `bad` instead.

    Args:
        rows: as `read_rows` returns them.
        task: what the labels are made for.
        bad: takes the bad rows.
        known: the labels that may occur; None where these rows are what labels are learned from.

    Raises:
        DataError: some rows hold one text and some two.
    """
    good: list[Row] = []
    labels: list[Label] = []
    for row in rows:
        try:
            if row.problem:
                raise RowProblem(row.problem)
            label = convert(row.raw, task)
            if known is not None:
                check_known(label, task, known.labels, known.where)
        except RowProblem as problem:
            bad.add(row.table, row.record, str(problem))
            continue
        good.append(row)
        labels.append(label)
    pairs = [row.pair for row in good if row.pair is not None]
    if pairs and len(pairs) < len(good):
        raise DataError("some of the files hold one text a row and some hold two")
    return Dataset([row.text for row in good], pairs or None, labels, [row.record.row for row in good])
