"""What all writers share: rows with the columns that the first of them decide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from limbeck.errors import DataError

Rows = Sequence[Mapping[str, Any]]
Write = Callable[[Rows], None]


def columns_of(rows: Rows) -> list[str]:
    """The names in any of the rows: JSON lines need not all have the same."""
    return list(dict.fromkeys(name for row in rows for name in row))


def check_columns(row: Mapping[str, Any], columns: Collection[str], form: str) -> None:
    """Raise `DataError` for a row with a column that the first rows had not."""
    if more := [name for name in row if name not in columns]:
        raise DataError(
            f"a row has {', '.join(map(repr, more))}, which the first rows have not, so that {form} has no column "
            "for it: write a .jsonl file"
        )
