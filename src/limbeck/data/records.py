"""The nouns of the package: raw records as readers give them, labelled rows as recipes take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from limbeck.tasks import Label


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold what; None means: found by its usual names."""

    text: str | None = None
    """The column of the text."""
    pair: str | None = None
    """The column of the second text; the empty string says that there is none."""
    label: str | None = None
    """The column of the label; `a,b,c` names several columns of 0 and 1, one a label."""
    pair_separator: str | None = None
    """What stands between the two texts where the text column holds both, as in `first ||| second`."""
    label_separator: str | None = None
    """What stands between the labels where one cell holds several, as in `joy|anger`."""


USUAL = Columns()
"""All columns by their usual names."""


@dataclass(frozen=True, slots=True)
class Record:
    """One raw row of a source, before any column is looked at."""

    row: int
    """The line where the row begins (the header is line 1), or the 1-based index; the table's `unit` says."""
    fields: Mapping[str, object]
    """All columns; what could be read of them where there is a problem."""
    problem: str | None = None
    """Why the row cannot be read."""
    file: str | None = None
    """The file of this one row, in a folder of texts."""


@dataclass(frozen=True, slots=True)
class Table:
    """A source of records that can be read again and again."""

    name: str
    """The file name that messages show."""
    unit: str
    """What a row number counts: `line` or `row`."""
    columns: tuple[str, ...]
    records: Callable[[], Iterator[Record]]
    """Reads the source from its beginning, lazily."""

    def place(self, record: Record) -> str:
        """Where a record is, for messages: `reviews.csv, line 7`."""
        return f"{record.file or self.name}, {self.unit} {record.row}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled rows; the lists are parallel."""

    texts: list[str]
    pairs: list[str] | None
    """The second texts; None where the rows hold one text each."""
    labels: list[Label]
    rows: list[int]
    """The row numbers in the file they came from."""
    left_out: int = 0
    """Bad rows that were set aside on reading."""

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, indices: Sequence[int]) -> Dataset:
        """The rows at these positions, in the order given."""
        return Dataset(
            texts=[self.texts[i] for i in indices],
            pairs=None if self.pairs is None else [self.pairs[i] for i in indices],
            labels=[self.labels[i] for i in indices],
            rows=[self.rows[i] for i in indices],
        )


@dataclass(frozen=True, slots=True)
class Splits:
    """Labelled rows to train on, to choose by and to prove with."""

    train: Dataset
    dev: Dataset
    test: Dataset
    task: str
    """`classify`, `multilabel`, `regress`, `tag`, `embed` or `answer`."""
    labels: tuple[str, ...]
    """Label names in their fixed order; empty for `regress`, `embed` and `answer`."""
    notes: tuple[str, ...]
    """Sentences for the user: how the rows were read, split and judged."""
    sha256: str
    """Hash of the content of all labelled rows: the same for the same rows in the same order, in any format."""
    held_out_sha256: str
    """The same of the rows of dev and test."""


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row to predict: no label needed."""

    row: int
    text: str
    pair: str | None
    fields: Mapping[str, object]
    """All original columns, to be passed through."""
