"""Data sets of the Hugging Face hub, by name: `imdb`, `user/name`, `name:config`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from limbeck.data.records import Record, Table
from limbeck.errors import DataError, MissingExtra

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(:[\w.-]+)?")


def looks_like_hub_name(source: str) -> bool:
    """Whether this could be the name of a data set on the hub."""
    return HUB_NAME.fullmatch(source) is not None


def open_hub(name: str) -> dict[str, Table]:
    """The splits of a data set on the hub, each as a table; numbered classes carry their names.

    Args:
        name: the data set, with its configuration after a colon where it has several.

    Raises:
        MissingExtra: the library `datasets` is not installed.
        DataError: the hub has no such data set or configuration, or cannot be reached.
    """
    try:
        # The one import that is not at the top: an extra, and slow to load.
        import datasets
    except ImportError as error:
        raise MissingExtra("datasets", "hub") from error
    repository, _, config = name.partition(":")
    try:
        loaded = datasets.load_dataset(repository, config or None)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{name!r} cannot be loaded from the hub: {error}") from error
    return {split: _table(f"{name} {split}", rows) for split, rows in loaded.items()}


def _table(name: str, rows: Any) -> Table:
    naming = {column: _namer(feature) for column, feature in rows.features.items()}

    def records() -> Iterator[Record]:
        for index, fields in enumerate(rows, start=1):
            yield Record(index, _named(fields, naming))

    return Table(name, "row", tuple(rows.column_names), records)


Namer = Callable[[object], object]


def _named(fields: Mapping[str, object], naming: Mapping[str, Namer]) -> dict[str, object]:
    return {column: naming[column](value) for column, value in fields.items()}


def _namer(feature: Any) -> Namer:
    """What turns the class numbers of a column into names; -1, the hub's mark of a hidden label, into None."""
    inner = getattr(feature, "feature", None)
    if inner is not None and hasattr(inner, "int2str"):
        name = _namer(inner)
        return lambda value: [name(item) for item in value] if isinstance(value, list) else value
    if hasattr(feature, "int2str"):
        names = dict(enumerate(feature.names))
        return lambda value: names.get(value) if isinstance(value, int) else value
    return lambda value: value
