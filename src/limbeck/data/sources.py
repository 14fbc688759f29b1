"""From what the user names (a file, a folder, a data set of the hub) to tables, one list of them a split."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from limbeck.data.conll import open_conll
from limbeck.data.csv import open_csv, open_tsv
from limbeck.data.folder import label_folders, open_labelled_texts, open_texts, text_folders
from limbeck.data.hub import looks_like_hub_name, open_hub
from limbeck.data.jsonl import open_json, open_jsonl
from limbeck.data.records import Table
from limbeck.errors import DataError


def open_parquet(path: Path) -> Table:
    """A parquet file as a table: see `limbeck.data.parquet`."""
    # pyarrow takes a while to import, and most runs read no Parquet.
    from limbeck.data import parquet

    return parquet.open_parquet(path)


FORMATS: Mapping[str, Callable[[Path], Table]] = {
    ".csv": open_csv,
    ".tsv": open_tsv,
    ".jsonl": open_jsonl,
    ".ndjson": open_jsonl,
    ".json": open_json,
    ".parquet": open_parquet,
    ".conll": open_conll,
    ".iob": open_conll,
    ".bio": open_conll,
    **{
        f"{suffix}.gz": opener
        for suffix, opener in {
            ".csv": open_csv,
            ".tsv": open_tsv,
            ".jsonl": open_jsonl,
            ".ndjson": open_jsonl,
            ".json": open_json,
        }.items()
    },
}
SPLIT_OF = {
    "train": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
}
# A split may come in pieces: train-00000-of-00004.parquet, in older repositories with a hash behind.
SPLIT_NAME = re.compile(rf"({'|'.join(SPLIT_OF)})(-\d+-of-\d+(-[0-9a-f]+)?)?", re.IGNORECASE)
SPLIT_FILES = "train, dev (or val, valid, validation) and test"


@dataclass(frozen=True, slots=True)
class Source:
    """Tables by split: `train`, and `dev` and `test` where given; or all rows under `all`."""

    splits: Mapping[str, list[Table]]
    notes: tuple[str, ...] = ()


def open_source(source: str | Path, *, train_needed: bool = True) -> Source:
    """The tables of a file, a folder of split files, a folder of texts, or a data set of the hub.

    Args:
        source: the path or the name.
        train_needed: whether splits without one named `train` are an error.

    Raises:
        DataError: nothing is there, or nothing that can be read.
        MissingExtra: a name of the hub, and the library `datasets` is not installed.
    """
    path = Path(source)
    if path.is_dir():
        found = _open_folder(path)
    elif path.exists() or not _is_hub_name(str(source)):
        found = Source({"all": [open_file(path)]})
    else:
        found = _open_hub(str(source))
    if train_needed and not {"train", "all"} & set(found.splits):
        names = ", ".join(table.name for tables in found.splits.values() for table in tables)
        raise DataError(f"{source} holds no train split, only {names}. Name one file to have it split.")
    return found


def open_input(source: str | Path) -> Table:
    """The one table of a file, or of a folder of texts, to predict.

    Raises:
        DataError: nothing is there, or nothing that can be read.
    """
    path = Path(source)
    return open_texts(path) if path.is_dir() else open_file(path)


def open_file(path: Path) -> Table:
    """One file as a table, by its suffix.

    Raises:
        DataError: the file is missing (near names are suggested), or no reader knows the suffix.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist{_suggestion(path)}")
    if not path.is_file():
        raise DataError(f"{path} is not a file that can be read again and again; write it to a file first")
    suffix = _suffix(path)
    if suffix is None:
        raise DataError(f"{path.name} has no suffix that says its format; expected one of {', '.join(FORMATS)}")
    return FORMATS[suffix](path)


def _suffix(path: Path) -> str | None:
    name = path.name.lower()
    return next((suffix for suffix in sorted(FORMATS, key=len, reverse=True) if name.endswith(suffix)), None)


def _suggestion(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"; nor does the folder {folder}"
    near = difflib.get_close_matches(path.name, [entry.name for entry in folder.iterdir()], n=3)
    return f"; did you mean {' or '.join(str(folder / name) for name in near)}?" if near else ""


def _is_hub_name(source: str) -> bool:
    """Not so if it names a data file, or something in a folder that is there: a mistyped path is no hub name."""
    path = Path(source)
    inside = path.parent != Path() and path.parent.is_dir()
    return looks_like_hub_name(source) and _suffix(path) is None and not inside


def _open_hub(name: str) -> Source:
    splits: dict[str, list[Table]] = {}
    ignored = []
    for split, table in open_hub(name).items():
        if split.lower() in SPLIT_OF:
            splits.setdefault(SPLIT_OF[split.lower()], []).append(table)
        else:
            ignored.append(split)
    if not splits:
        raise DataError(f"{name} has no split train, validation or test, only {', '.join(ignored)}")
    return Source(splits, _ignored_note(ignored, "splits"))


def _open_folder(folder: Path) -> Source:
    for place in (folder, folder / "data"):
        if place.is_dir() and any(_split_of(path) for path in place.iterdir()):
            return _open_split_files(place)
    if any(label_folders(sub) for sub in _split_folders(folder)):
        return _open_split_folders(folder)
    labels = label_folders(folder)
    if labels:
        ignored = [sub.name for sub in text_folders(folder) if sub not in labels]
        return Source({"all": [open_labelled_texts(folder, labels)]}, _ignored_note(ignored, "folders"))
    files = sorted(path.name for path in folder.iterdir() if path.is_file() and _suffix(path))
    hint = f"It holds {', '.join(files[:5])}: name the file itself." if files else f"Known: {', '.join(FORMATS)}."
    raise DataError(
        f"{folder} holds neither files named {SPLIT_FILES}, nor a folder of .txt files for each label. {hint}"
    )


def _split_folders(folder: Path) -> list[Path]:
    return [sub for sub in sorted(folder.iterdir()) if sub.is_dir() and sub.name.lower() in SPLIT_OF]


def _split_of(path: Path) -> str | None:
    suffix = _suffix(path)
    if suffix is None or not path.is_file():
        return None
    match = SPLIT_NAME.fullmatch(path.name[: -len(suffix)])
    return SPLIT_OF[match[1].lower()] if match else None


def _open_split_files(folder: Path) -> Source:
    data_files = sorted(path for path in folder.iterdir() if path.is_file() and _suffix(path))
    files: dict[str, list[Path]] = {}
    for path in data_files:
        if split := _split_of(path):
            files.setdefault(split, []).append(path)
    for split, paths in files.items():
        _check_pieces(folder, split, paths)
    ignored = [path.name for path in data_files if _split_of(path) is None]
    tables = {split: [open_file(path) for path in paths] for split, paths in files.items()}
    return Source(tables, _ignored_note(ignored, "files"))


def _check_pieces(folder: Path, split: str, paths: list[Path]) -> None:
    """Several files are one split only as all pieces of one: train.csv beside train.parquet counts rows twice."""
    names = ", ".join(path.name for path in paths)
    pieces = [re.search(r"-of-(\d+)", path.name) for path in paths]
    counts = {int(match[1]) if match else 1 for match in pieces}
    suffixes = {_suffix(path) for path in paths}
    if len(counts) > 1 or len(suffixes) > 1 or len(paths) > max(counts):
        raise DataError(f"{folder} holds several files for the split {split}: {names}. Leave one.")
    if len(paths) < max(counts):
        raise DataError(f"{folder} holds {len(paths)} of {max(counts)} pieces of the split {split}: {names}")


def _open_split_folders(folder: Path) -> Source:
    tables: dict[str, list[Table]] = {}
    ignored = []
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        labels = label_folders(sub)
        if sub.name.lower() not in SPLIT_OF or not labels:
            ignored.extend([sub.name] if text_folders(sub) or any(sub.glob("*.txt")) else [])
            continue
        ignored.extend(f"{sub.name}/{other.name}" for other in text_folders(sub) if other not in labels)
        tables.setdefault(SPLIT_OF[sub.name.lower()], []).append(open_labelled_texts(sub, labels))
    return Source(tables, _ignored_note(ignored, "folders"))


def _ignored_note(names: list[str], kind: str) -> tuple[str, ...]:
    return (f"Ignored {kind}: {', '.join(names)}.",) if names else ()
