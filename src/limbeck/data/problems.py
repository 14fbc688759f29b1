"""What is wrong with rows: one collector, so that the user sees all bad rows of all files at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import IO

from limbeck.data.records import Record, Table
from limbeck.errors import DataError
from limbeck.files import as_usual

SHOWN = 20
SHOWN_OF_TOO_MANY = 5  # of rows that were left out, where those that stay are too few: the first say why
REMEDY = "Mend what is said above, or pass `--skip-bad-rows` to go on without such rows."


class RowProblem(Exception):
    """One row cannot be used; never leaves this package."""


def character_problem(text: str) -> str | None:
    """What is wrong with the characters of a text that was decoded with `surrogateescape`, or None."""
    if "\0" in text:
        return f"a NUL character at character {text.index(chr(0)) + 1}"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            return f"not valid UTF-8: byte 0x{code - 0xDC00:02x} at character {error.start + 1}"
        return f"not valid Unicode: half a surrogate pair, \\u{code:04x}, at character {error.start + 1}"
    return None


class BadRows:
    """Collects bad rows; on leaving its `with` block raises them as one error, or sets them aside.

    Args:
        skipped: where to write the bad rows as JSON lines; None means that a bad row is an error.

    Raises:
        DataError: on leaving, if there are bad rows and `skipped` is None.
    """

    def __init__(self, skipped: Path | None) -> None:
        self.count = 0
        self._skipped = skipped
        self._shown: list[str] = []
        self._beside: IO[str] | None = None

    def add(self, table: Table, record: Record, problem: str) -> None:
        """Take one bad row."""
        self.count += 1
        if len(self._shown) < SHOWN:
            self._shown.append(f"{table.place(record)}: {problem}")
        if self._skipped is not None:
            self._write(record.file or table.name, record, problem)

    @property
    def notes(self) -> list[str]:
        """What is to be said of the rows that were set aside."""
        if self._skipped is None or not self.count:
            return []
        return [f"Left out {self.count:,} bad {self._noun()}, written to {self._skipped.name}."]

    def too_few(self, problem: str) -> DataError:
        """The error that too few rows are left, with what was wrong with those that were set aside."""
        if not self.count:
            return DataError(problem)
        were = "was" if self.count == 1 else "were"
        said = f"{problem}. {self.count:,} {self._noun()} {were} left out, as bad:"
        return DataError("\n".join([said, *self._lines(SHOWN_OF_TOO_MANY)]))

    def __enter__(self) -> BadRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beside is not None:
            self._beside.close()
            if kind is None and self._skipped is not None:
                as_usual(Path(self._beside.name))
                os.replace(self._beside.name, self._skipped)
            else:
                os.unlink(self._beside.name)
        elif kind is None and self.count:
            raise DataError(self._message())

    def _write(self, file: str, record: Record, problem: str) -> None:
        """Write beside the target: it appears whole, when all rows were read, or not at all."""
        if self._beside is None and self._skipped is not None:
            folder = self._skipped.parent
            folder.mkdir(parents=True, exist_ok=True)
            self._beside = NamedTemporaryFile(  # noqa: SIM115 (closed in __exit__)
                "w", encoding="utf-8", dir=folder, prefix=f".{self._skipped.name}.", delete=False
            )
        if self._beside is not None:
            line = {"file": file, "row": record.row, "problem": problem, "fields": dict(record.fields)}
            # ASCII, so that broken bytes come through as escapes; str for what JSON does not know, as dates.
            self._beside.write(json.dumps(line, default=str) + "\n")

    def _noun(self) -> str:
        return "row" if self.count == 1 else "rows"

    def _message(self) -> str:
        said = f"{self.count:,} {self._noun()} cannot be used:"
        return "\n".join([said, *self._lines(SHOWN), REMEDY])

    def _lines(self, most: int) -> list[str]:
        lines = [f"  {line}" for line in self._shown[:most]]
        if self.count > len(lines):
            lines.append(f"  … and {self.count - len(lines):,} more ({self.count:,} in all)")
        return lines
