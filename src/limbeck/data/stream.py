"""Rows to predict: checked in one pass, then streamed in another, in constant memory (`.json` lists aside)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from limbeck.data.columns import Roles, find_roles
from limbeck.data.problems import BadRows, RowProblem
from limbeck.data.records import USUAL, Columns, InputRow, Record, Table
from limbeck.data.sources import open_input
from limbeck.data.values import read_texts
from limbeck.errors import DataError


@dataclass(frozen=True, slots=True)
class Checked:
    """How many rows of an input are good, and how many bad ones were set aside."""

    rows: int
    skipped: int


def check_input(source: str | Path, columns: Columns = USUAL, *, skipped: Path | None = None) -> Checked:
    """Read all rows of a file, or of a folder of texts, once, and count them.

    Args:
        source: the file, or a folder of `.txt` files.
        columns: which columns hold the texts.
        skipped: where to write bad rows as JSON lines; None means that a bad row is an error.

    Raises:
        DataError: rows cannot be used (all are counted, the first shown), or the file as a whole cannot.
    """
    table = open_input(source)
    roles = find_roles(table, columns, labelled=False)
    good = 0
    with BadRows(skipped) as bad:
        for record in table.records():
            try:
                _input_row(record, roles, columns)
                good += 1
            except RowProblem as problem:
                bad.add(table, record, str(problem))
    if not good:
        raise bad.too_few(f"{table.name} holds no row that can be used")
    return Checked(good, bad.count)


def stream_input(
    source: str | Path,
    columns: Columns = USUAL,
    *,
    skip_bad_rows: bool = False,
    on_bad: Callable[[str], None] = lambda problem: None,
) -> Iterator[InputRow]:
    """The rows of a file, or of a folder of texts, one by one as they are read.

    Args:
        source: the file, or a folder of `.txt` files.
        columns: which columns hold the texts.
        skip_bad_rows: pass bad rows by, as `check_input` has counted them.
        on_bad: hears of each row that is passed by.

    Raises:
        DataError: at once if the file or its columns cannot be used; at a bad row, if those are not passed by.
    """
    table = open_input(source)
    return _rows(table, find_roles(table, columns, labelled=False), columns, skip_bad_rows, on_bad)


def _rows(
    table: Table, roles: Roles, columns: Columns, skip_bad_rows: bool, on_bad: Callable[[str], None]
) -> Iterator[InputRow]:
    for record in table.records():
        try:
            yield _input_row(record, roles, columns)
        except RowProblem as problem:
            said = f"{table.place(record)}: {problem}"
            if not skip_bad_rows:
                raise DataError(said) from problem
            on_bad(said)


def _input_row(record: Record, roles: Roles, columns: Columns) -> InputRow:
    if record.problem:
        raise RowProblem(record.problem)
    text, pair = read_texts(record.fields, roles, columns)
    return InputRow(record.row, text, pair, record.fields)
