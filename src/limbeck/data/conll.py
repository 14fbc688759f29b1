"""CoNLL files: a word a line with its tag in the last of 2 to 4 columns, an empty line between sentences."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from limbeck.data.problems import character_problem
from limbeck.data.records import Record, Table
from limbeck.data.textfile import open_text
from limbeck.errors import DataError

COLUMNS = ("tokens", "tags")
DOCUMENT = "-DOCSTART-"


def open_conll(path: Path) -> Table:
    """A CoNLL file as a table of sentences, each a list of words and a list of their tags.

    Columns are split at tabs where the line has one, else at white space. Lines that mark documents are left out.

    Raises:
        DataError: the file holds no sentence.
    """

    def records() -> Iterator[Record]:
        with open_text(path, newline="\n") as file:
            yield from _sentences(file)

    table = Table(path.name, "line", COLUMNS, records)
    if not next(iter(islice(records(), 1)), None):
        raise DataError(f"{path.name} holds no sentence; expected a word and its tag on each line")
    return table


def _sentences(lines: Iterator[str]) -> Iterator[Record]:
    """One record a sentence, at the line of its first word; a bad line makes its sentence bad."""
    words: list[str] = []
    tags: list[str] = []
    start, width, problem = 0, 0, None
    for number, line in enumerate(lines, start=1):
        content = line.rstrip("\r\n")
        if not content.strip() or content.startswith(DOCUMENT):
            if words or problem:
                yield _record(start, words, tags, problem)
            words, tags, problem = [], [], None
            continue
        if not words and problem is None:
            start = number
        fields = content.split("\t") if "\t" in content else content.split()
        width = width or len(fields)
        problem = problem or _line_problem(number, content, fields, width)
        words.append(fields[0])
        tags.append(fields[-1])
    if words or problem:
        yield _record(start, words, tags, problem)


def _record(start: int, words: list[str], tags: list[str], problem: str | None) -> Record:
    return Record(start, dict(zip(COLUMNS, (words, tags), strict=True)), problem)


def _line_problem(number: int, content: str, fields: list[str], width: int) -> str | None:
    if found := character_problem(content):
        return f"line {number}: {found}"
    if not 2 <= len(fields) <= 4:
        return f"line {number} has {len(fields)} columns, expected 2 to 4: {content!r:.60}"
    if len(fields) != width:
        return f"line {number} has {len(fields)} columns, the lines before have {width}: {content!r:.60}"
    return None
