"""JSON lines (`.jsonl`, `.ndjson`), and `.json` files that hold one list of objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from limbeck.data.answers import SQUAD_COLUMNS, is_squad, squad_records
from limbeck.data.problems import character_problem
from limbeck.data.records import Record, Table
from limbeck.data.textfile import open_text
from limbeck.errors import DataError

# The keys of so many first rows are taken as the columns.
LOOKED_AT = 100


def open_jsonl(path: Path) -> Table:
    """A file of JSON lines as a table; its columns are the keys of the first rows.

    Raises:
        DataError: the file is empty, or none of its first rows is an object.
    """

    def records() -> Iterator[Record]:
        with open_text(path, newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _record(number, line)

    return _table(path, "line", list(islice(records(), LOOKED_AT)), records)


def open_json(path: Path) -> Table:
    """A `.json` file as a table: a list or a SQuAD file (held in memory whole), or JSON lines by another name.

    Raises:
        DataError: the file is empty, not JSON, or holds something else.
    """
    with open_text(path, newline="\n") as file:
        first = next((line for line in file if line.strip()), "")
    if first.lstrip().startswith("{"):
        record = _record(1, first)
        if record.problem is None and not is_squad(record.fields):
            return open_jsonl(path)
    return _open_list(path)


def _open_list(path: Path) -> Table:
    with open_text(path, newline="\n") as file:
        text = file.read()
    if not text.strip():
        raise DataError(f"{path.name} is empty")
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not valid JSON: {error}") from error
    doubtful = "\\u" in text or character_problem(text) is not None
    if is_squad(rows):
        return _squad(path, rows, doubtful)
    if not isinstance(rows, list):
        raise DataError(
            f"{path.name} holds one {_kind(rows)}, expected a list of objects, as [{{…}}, {{…}}], or one object a line"
        )
    made = [_check(index, row, doubtful) for index, row in enumerate(rows, start=1)]
    return _table(path, "row", made, lambda: iter(made))


def _squad(path: Path, document: dict[str, object], doubtful: bool) -> Table:
    found = squad_records(document)
    records = [record if record.problem else _check(record.row, record.fields, doubtful) for record in found]
    if not records:
        raise DataError(f"{path.name} looks like a SQuAD file and holds no question")
    return Table(path.name, "question", SQUAD_COLUMNS, lambda: iter(records))


def _table(path: Path, unit: str, first: list[Record], records: Callable[[], Iterator[Record]]) -> Table:
    if not first:
        raise DataError(f"{path.name} is empty")
    columns = tuple(dict.fromkeys(key for record in first if not record.problem for key in record.fields))
    table = Table(path.name, unit, columns, records)
    if all(record.problem for record in first):
        raise DataError(f"{table.place(first[0])}: {first[0].problem}")
    return table


def _record(number: int, line: str) -> Record:
    if problem := character_problem(line):
        return Record(number, {"line": line.rstrip("\r\n")}, problem)
    try:
        return _check(number, json.loads(line), "\\u" in line)
    except ValueError as error:
        where = f" (character {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        return Record(number, {"line": line.rstrip("\r\n")}, f"not valid JSON: {reason}{where}")
    except RecursionError:
        return Record(number, {"line": line.rstrip("\r\n")}, "not valid JSON: nested too deeply")


def _check(number: int, value: object, doubtful: bool) -> Record:
    """A value as a record; `doubtful` where an escape may spell what no UTF-8 file can hold: half a surrogate pair."""
    if not isinstance(value, dict):
        return Record(number, {"line": value}, f"expected an object, as {{…}}, got a {_kind(value)}")
    return Record(number, value, character_problem(json.dumps(value, ensure_ascii=False)) if doubtful else None)


def _kind(value: object) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
