"""Labelled rows of any source as train, dev and test: the splits it has kept, those it lacks carved from train."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from limbeck.data.carve import carve, row_keys, strata, text_key
from limbeck.data.columns import Roles, find_roles
from limbeck.data.labels import UNNAMED, check_task, infer_task, label_order
from limbeck.data.problems import BadRows
from limbeck.data.records import USUAL, Columns, Dataset, Splits, Table
from limbeck.data.rows import Known, Row, read_rows, to_dataset
from limbeck.data.sources import open_source
from limbeck.errors import DataError

HELD_OUT_SHARE = 0.1
# More rows than these sharpen no estimate worth the time, and are better trained on.
MAX_HELD_OUT = {"test": 10_000, "dev": 2_000}
MIN_TRAIN_ROWS = 10
_WHAT = {"tag": "entity", "answer": "answer"}
SPLITS = ("train", "dev", "test")

Parts = Mapping[str, Dataset]


def load_splits(
    source: str | Path, columns: Columns = USUAL, *, task: str | None = None, skipped: Path | None = None
) -> Splits:
    """Labelled rows to train on, to choose by and to prove with.

    Args:
        source: a file, a folder of files named train, dev and test, a folder of texts (`train/pos/1.txt` or
            `pos/1.txt`), or the name of a data set of the hub.
        columns: which columns hold what.
        task: `classify`, `multilabel`, `regress`, `tag`, `embed` or `answer`; None to see
            it from the labels (never `embed`).
        skipped: where to write bad rows as JSON lines; None means that a bad row is an error.

    Raises:
        DataError: rows cannot be used (all are counted, the first shown), or the source as a whole cannot.
        MissingExtra: a name of the hub, and the library `datasets` is not installed.
        UsageError: an argument is wrong.
    """
    if task is not None:
        check_task(task)
    opened = open_source(source)
    read, roles = _read(opened.splits, columns, task)
    notes = [f"Read {roles.describe()}.", *opened.notes, *_drop_unlabelled(read)]
    base = "all" if "all" in read else "train"
    if task is None:
        inferred = infer_task([row.raw for row in read[base] if not row.problem], columns, roles.labels)
        task, why = inferred.task, inferred.why
    else:
        why = "as given"
    with BadRows(skipped) as bad:
        parts = {base: to_dataset(read[base], task, bad)}
        labels = () if task in UNNAMED else label_order(parts[base].labels, roles.labels)
        known = Known(frozenset(labels), "the training rows")
        parts |= {name: to_dataset(rows, task, bad, known) for name, rows in read.items() if name != base}
    notes += bad.notes
    del read
    notes.append(f"Task {task}: {why}{', ' + _count(len(labels), 'label') if labels else ''}.")
    unused = [name for name in roles.labels if name not in labels] if len(roles.labels) > 1 else []
    notes += [f"Label columns that are never 1 in train, and are left out: {', '.join(unused)}."] if unused else []
    whole = _hold_out(parts, task)
    _check(whole.parts, task, bad)
    notes += [*whole.notes, *_repeats(whole.parts, whole.keys, contradict=task != "embed")]
    train, dev, test = (whole.parts[name] for name in SPLITS)
    notes += _halves(whole.parts) if train.pairs is not None and task != "answer" else []
    return Splits(train, dev, test, task, labels, tuple(notes), *_hashes(whole.parts))


def load_labelled(
    source: str | Path,
    columns: Columns = USUAL,
    *,
    task: str,
    labels: Sequence[str],
    skipped: Path | None = None,
) -> Dataset:
    """Labelled rows to prove a model again: the test split where there is one, else all rows.

    Args:
        source: as for `load_splits`.
        columns: which columns hold what.
        task: the model's task.
        labels: the model's labels; a row with another one is a bad row.
        skipped: where to write bad rows as JSON lines; None means that a bad row is an error.

    Raises:
        DataError: rows cannot be used (all are counted, the first shown), or the source as a whole cannot.
    """
    check_task(task)
    splits = open_source(source, train_needed=False).splits
    read, _ = _read({"test": splits["test"]} if "test" in splits else splits, columns, task)
    rows = [row for part in read.values() for row in part]
    with BadRows(skipped) as bad:
        dataset = to_dataset(rows, task, bad, Known(frozenset(labels), "the model"))
    if not len(dataset):
        raise bad.too_few(f"{source} holds no row that can be used")
    return replace(dataset, left_out=bad.count)


def _read(splits: Mapping[str, list[Table]], columns: Columns, task: str | None) -> tuple[dict[str, list[Row]], Roles]:
    """The rows of each split, train first, and the roles of the first table's columns."""
    names = [name for name in ("all", *SPLITS) if name in splits]
    tables = [table for name in names for table in splits[name]]
    roles = {id(table): find_roles(table, columns, labelled=True, task=task) for table in tables}
    read = {
        name: [row for table in splits[name] for row in read_rows(table, roles[id(table)], columns)] for name in names
    }
    return read, roles[id(splits[names[0]][0])]


def _drop_unlabelled(read: dict[str, list[Row]]) -> list[str]:
    """Leave out dev and test splits without any label, as benchmarks with hidden labels have them."""
    hidden = [
        name
        for name, rows in read.items()
        if name in MAX_HELD_OUT and rows and all(row.problem is None and row.raw is None for row in rows)
    ]
    for name in hidden:
        del read[name]
    return [f"Ignored the split {name}: none of its rows has a label." for name in hidden]


@dataclass(frozen=True, slots=True)
class _Whole:
    """All three splits, the keys of their texts, and how they came about."""

    parts: dict[str, Dataset]
    keys: dict[str, list[bytes]]
    notes: list[str]


def _hold_out(parts: Parts, task: str) -> _Whole:
    """Carve from train (or from all rows) the splits that are missing: test first, then dev."""
    base = "all" if "all" in parts else "train"
    pool = parts[base]
    keys = {name: row_keys(part) for name, part in parts.items()}
    left, left_keys = list(range(len(pool))), keys.pop(base)
    # Questions about one context stand on one side, or the context is known.
    together = left_keys if task != "answer" else [text_key(context, None) for context in pool.pairs or ()]
    row_strata = strata(pool.labels, task) if len(pool) else []
    done = {name: part for name, part in parts.items() if name != base}
    notes = [f"Kept the given split {name}: {_count(len(part), 'row')}." for name, part in done.items()]
    for name in ("test", "dev"):
        if name in done:
            continue
        wanted = min(MAX_HELD_OUT[name], max(1, round(HELD_OUT_SHARE * len(pool))))
        held = carve([together[i] for i in left], [row_strata[i] for i in left], wanted)
        taken = [position for index, position in enumerate(left) if index in held]
        left = [position for index, position in enumerate(left) if index not in held]
        done[name] = pool.select(taken)
        keys[name] = [left_keys[i] for i in taken]
        notes.append(
            f"Carved {name} from {base}: {_count(len(taken), 'row')}, by a hash of the text, "
            "each label in proportion, equal texts kept together."
        )
    done["train"] = pool.select(left)
    keys["train"] = [left_keys[i] for i in left]
    notes.append(f"Left to train on: {_count(len(left), 'row')}.")
    return _Whole(done, keys, notes)


def _check(parts: Parts, task: str, bad: BadRows) -> None:
    """Raise a `DataError` where the rows are too few, or their labels too alike, to train and prove a model."""
    train = parts["train"]
    if len(train) < MIN_TRAIN_ROWS:
        raise bad.too_few(f"{_count(len(train), 'row')} to train on, expected at least {MIN_TRAIN_ROWS}")
    found = sorted(set(map(str, train.labels)))
    several = task in ("multilabel", "tag", "answer")
    unlabelled = task == "embed" and found == [""]
    if not several and not unlabelled and len(found) == 1:
        raise DataError(f"all rows to train on have the same label, {found[0]!r}; expected at least two labels")
    if several and not any(train.labels):
        raise DataError(f"no row to train on has any {_WHAT.get(task, 'label')}")
    for name in MAX_HELD_OUT:
        if not len(parts[name]):
            raise bad.too_few(
                f"the split {name} is empty: it has no good row, or no label has two texts to hold one out"
            )
    if len({parts[name].pairs is None for name in SPLITS}) > 1:
        raise DataError("some of the splits hold one text a row and some hold two; name the columns")


def _repeats(parts: Parts, keys: Mapping[str, Sequence[bytes]], *, contradict: bool) -> list[str]:
    """Notes on texts that occur more than once, across splits and with labels that `contradict` one another."""
    notes = []
    for name, others in (("dev", ("train",)), ("test", ("train", "dev"))):
        for other in others:
            there = set(keys[other])
            count = sum(key in there for key in keys[name])
            verb = "has" if count == 1 else "have"
            if count:
                notes.append(f"{count:,} of {len(parts[name]):,} {name} rows {verb} a text that is in {other} too.")
    labels: dict[bytes, set[object]] = {}
    rows = 0
    for name in SPLITS:
        rows += len(parts[name])
        for key, label in zip(keys[name], parts[name].labels, strict=True):
            labels.setdefault(key, set()).add(label)
    if rows > len(labels):
        notes.append(f"{_count(rows - len(labels), 'row')} of {rows:,} repeat the text of another.")
    against = sum(len(own) > 1 for own in labels.values())
    if against and contradict:
        notes.append(f"{_count(against, 'text')} with contradictory labels: the same text, another label.")
    return notes


def _halves(parts: Parts) -> list[str]:
    """Notes on held-out pairs of which one text is in the training rows too."""
    train = parts["train"]
    known = {text_key(text, None) for text in (*train.texts, *(train.pairs or ()))}
    notes = []
    for name in MAX_HELD_OUT:
        pairs = zip(parts[name].texts, parts[name].pairs or (), strict=True)
        count = sum(any(text_key(text, None) in known for text in pair) for pair in pairs)
        if count:
            notes.append(f"{count:,} of {len(parts[name]):,} {name} rows have one of their texts in train too.")
    return notes


def _hashes(parts: Parts) -> tuple[str, str]:
    """The hash of all rows, and of those of dev and test."""
    return _sha256(parts, SPLITS), _sha256(parts, ("dev", "test"))


def _sha256(parts: Parts, names: Sequence[str]) -> str:
    digest = sha256()
    for name in names:
        part = parts[name]
        pairs: Sequence[str | None] = part.pairs if part.pairs is not None else [None] * len(part)
        for row in zip(part.texts, pairs, part.labels, strict=True):
            digest.update(json.dumps([name, *row]).encode() + b"\n")
    return digest.hexdigest()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
