"""The folder that `limbeck augment` writes: train, dev and test, as `limbeck train` reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from limbeck.augmentation.made import Made
from limbeck.data import Dataset, Splits
from limbeck.data.records import Table
from limbeck.data.sources import FORMATS, open_source
from limbeck.data.writers import open_writer
from limbeck.errors import UsageError
from limbeck.tasks import Label

SplitFormat = Literal["jsonl", "csv", "parquet"]
LABEL_COLUMN = {"multilabel": "labels", "tag": "entities"}
MADE_BY, FROM_ROW = "made_by", "from_row"


def check_place(out: Path) -> None:
    """Raise `UsageError` unless `out` can become the folder."""
    if out.suffix.lower() in FORMATS:
        raise UsageError(
            f"--out {out}: expected a folder. One file would be split again when it is trained on, and rows made of "
            f"training rows would be judged on: --out {out.with_suffix('')}"
        )
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"--out {out} exists: choose another, or remove it")


def check_source(data: str) -> None:
    """Raise `UsageError` where rows were made already: rows would be made of those too."""
    for tables in open_source(data).splits.values():
        for table in tables:
            if is_augmented(table):
                raise UsageError(
                    f"{table.name} has the column {MADE_BY!r}: {data} was written by limbeck augment. "
                    "Start from the data it was made of"
                )


def is_augmented(table: Table) -> bool:
    """Whether `limbeck augment` wrote a table: its columns have the usual names, whatever they were called before."""
    return MADE_BY in table.columns


def write_splits(out: Path, splits: Splits, made: Made, form: SplitFormat) -> None:
    """Write the folder, whole or not at all. Made rows stand behind the row that they were made of."""
    beside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    parts = {"train": _train_records(splits, made), "dev": _records(splits.dev, splits.task)}
    parts["test"] = _records(splits.test, splits.task)
    try:
        for name, records in parts.items():
            with open_writer(beside / f"{name}.{form}", form) as write:
                write(list(records))
        os.replace(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _train_records(splits: Splits, made: Made) -> Iterator[dict[str, Any]]:
    train = splits.train
    by_source: dict[int, list[dict[str, Any]]] = {}
    for row in made.rows:
        label = train.labels[row.source]
        label = row.text.entities if splits.task == "tag" else label
        record = _record(row.text.text, row.pair, label, splits.task, row.method, train.rows[row.source])
        by_source.setdefault(row.source, []).append(record)
    for index, record in enumerate(_records(train, splits.task)):
        yield record
        yield from by_source.get(index, [])


def _records(rows: Dataset, task: str) -> Iterator[dict[str, Any]]:
    pairs: list[str] | list[None] = rows.pairs if rows.pairs is not None else [None] * len(rows)
    for text, pair, label, number in zip(rows.texts, pairs, rows.labels, rows.rows, strict=True):
        yield _record(text, pair, label, task, None, number)


def _record(text: str, pair: str | None, label: Label, task: str, method: str | None, number: int) -> dict[str, Any]:
    """One row: `made_by` is empty for a row that was there, `from_row` is the row's number in the data as read."""
    second = {} if pair is None else {"text_pair": pair}
    value: object = list(label) if isinstance(label, tuple) else label
    if task == "tag" and isinstance(label, tuple):
        value = [{"start": item[0], "end": item[1], "label": item[2]} for item in label if not isinstance(item, str)]
    column = LABEL_COLUMN.get(task, "label")
    return {"text": text, **second, column: value, MADE_BY: method, FROM_ROW: number}
