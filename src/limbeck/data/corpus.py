"""Text without labels, to pretrain on: passages in their order, and some of them held out by the hash of their text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from limbeck.data.carve import carve, text_key
from limbeck.data.columns import Roles, find_roles
from limbeck.data.folder import open_texts
from limbeck.data.problems import BadRows, RowProblem
from limbeck.data.records import Columns, Record, Table
from limbeck.data.sources import FORMATS, SPLIT_NAME, SPLIT_OF, Source, open_source
from limbeck.data.values import read_texts

HELD_OUT_SHARE = 0.05
MAX_HELD_OUT = 1_000  # passages: more sharpen no perplexity worth the time
_BLANK_LINES = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text, or a paragraph of one that may follow right after the passage before it in the list."""

    text: str
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Corpus:
    """Passages to learn from and to judge by, sentences for the user, and a hash of it all."""

    train: list[Passage]
    held_out: list[Passage]
    notes: tuple[str, ...]
    sha256: str


def load_corpus(source: str | Path, text: str | None = None, *, skipped: Path | None = None) -> Corpus:
    """The passages of text files, or of the text column of a table, whether it has labels or not.

    A text file holds paragraphs between blank lines, or without any blank line one on each line; each follows the one
    before it. A row of a table is a passage by itself. The dev split is held out where there is one, else the test
    split, else 5 % of the passages, at most 1,000, by a hash of their text; equal texts stay on one side.

    Args:
        source: a `.txt` file or a folder of them, or a table as for `load_splits`.
        text: the column of the text; None to find it by its usual names.
        skipped: where to write bad rows as JSON lines; None means that a bad row is an error.

    Raises:
        DataError: there is no text, too little to hold some out, or rows cannot be used.
        MissingExtra: a name of the hub, and the library `datasets` is not installed.
    """
    opened, of_files = _open(Path(source)), _is_text(Path(source))
    if opened is None:
        opened = open_source(source)
    columns = Columns(text=text, pair="")  # of a pair the first text, or the one that was named
    with BadRows(skipped) as bad:
        read = {
            name: [passage for table in tables for passage in _passages(table, columns, of_files, bad)]
            for name, tables in opened.splits.items()
        }
    notes = [*opened.notes, *bad.notes]
    train, held_out, note = _hold_out(read)
    if not train or not held_out:
        raise bad.too_few(
            f"{source} holds {len(train) + len(held_out)} passages, too few to learn from some and judge by others: "
            "separate the texts of a file by blank lines, or add more"
        )
    return Corpus(train, held_out, (*notes, note), _sha256(train, held_out))


def _is_text(path: Path) -> bool:
    """Whether these are text files: of a folder, if no table lies in it."""
    if not path.is_dir():
        return path.suffix.lower() == ".txt" and path.is_file()
    tables = any(entry.name.lower().endswith(tuple(FORMATS)) for entry in path.iterdir() if entry.is_file())
    return not tables and any(path.rglob("*.txt"))


def _open(path: Path) -> Source | None:
    """The text files there by split, those of no split as train if there is no such split; None for tables."""
    if not _is_text(path):
        return None
    if path.is_file():
        return Source({"all": [open_texts(path.parent, [path])]})
    files: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("*.txt")):
        first = file.relative_to(path).parts[0]
        match = SPLIT_NAME.fullmatch(first.removesuffix(".txt"))
        files.setdefault(SPLIT_OF[match[1].lower()] if match else "all", []).append(file)
    notes: tuple[str, ...] = ()
    if "train" in files and (ignored := files.pop("all", [])):
        notes = (f"Ignored {len(ignored)} files of no split, beside the split train.",)
    return Source({split: [open_texts(path, paths)] for split, paths in files.items()}, notes)


def _passages(table: Table, columns: Columns, of_files: bool, bad: BadRows) -> Iterator[Passage]:
    roles = Roles("text", None, ()) if of_files else find_roles(table, columns, labelled=False)
    for record in table.records():
        try:
            text = _text(record, roles, columns)
        except RowProblem as problem:
            bad.add(table, record, str(problem))
            continue
        if of_files:
            yield from (Passage(part, follows=i > 0) for i, part in enumerate(_paragraphs(text)))
        else:
            yield Passage(text)


def _text(record: Record, roles: Roles, columns: Columns) -> str:
    if record.problem:
        raise RowProblem(record.problem)
    return read_texts(record.fields, roles, columns)[0]


def _paragraphs(text: str) -> list[str]:
    parts = [part.strip() for part in _BLANK_LINES.split(text) if part.strip()]
    return parts if len(parts) > 1 else [line.strip() for line in text.splitlines() if line.strip()]


def _hold_out(read: Mapping[str, list[Passage]]) -> tuple[list[Passage], list[Passage], str]:
    """Passages to train on, those held out, and how they were found."""
    base = "train" if "train" in read else "all"
    pool = read.get(base, [])
    given = next((name for name in ("dev", "test") if read.get(name)), None)
    if given is not None:
        unused = " The split test is left alone." if given == "dev" and read.get("test") else ""
        return pool, read[given], f"Held out the given split {given}: {len(read[given]):,} passages.{unused}"
    wanted = min(MAX_HELD_OUT, max(1, round(HELD_OUT_SHARE * len(pool))))
    held = carve([text_key(passage.text, None) for passage in pool], [""] * len(pool), wanted)
    train = _select(pool, [i for i in range(len(pool)) if i not in held])
    note = f"Held out {len(held):,} of {len(pool):,} passages, by a hash of the text."
    return train, _select(pool, sorted(held)), note


def _select(passages: Sequence[Passage], positions: Sequence[int]) -> list[Passage]:
    """The passages at these positions; one follows the other only if nothing was taken from between."""
    before = [-1, *positions]
    return [Passage(passages[i].text, passages[i].follows and before[n] == i - 1) for n, i in enumerate(positions)]


def _sha256(train: Sequence[Passage], held_out: Sequence[Passage]) -> str:
    digest = sha256()
    for name, part in (("train", train), ("held_out", held_out)):
        for passage in part:
            digest.update(json.dumps([name, passage.text, passage.follows]).encode() + b"\n")
    return digest.hexdigest()
