"""Files of texts that a predictor is to read: their columns, and what their rows are called."""

from __future__ import annotations

from pathlib import Path

from limbeck.data import Columns
from limbeck.data.columns import find_roles
from limbeck.data.sources import open_input
from limbeck.errors import UsageError
from limbeck.predictor import Predictor
from limbeck.tasks.records import RECORD_NAMES


def input_columns(predictor: Predictor, said: Columns) -> Columns:
    """The columns that were named, else those of the training data where they were named then."""
    trained = predictor.bundle.manifest.source.columns
    text = said.text or trained["text"]
    if not predictor.model.pair:
        if said.pair or said.pair_separator:
            raise UsageError("this model reads one text a row, no pairs: drop --pair and --pair-separator")
        return Columns(text=text, pair="")  # no second text, whatever the file's columns are called
    if said.pair or said.pair_separator:
        return Columns(text=text, pair=said.pair, pair_separator=said.pair_separator)
    return Columns(text=text, pair=trained["pair"], pair_separator=trained["pair_separator"])


def input_place(predictor: Predictor, path: Path, columns: Columns) -> str:
    """What a row's number counts, for messages: `reviews.csv, line`."""
    table = open_input(path)
    roles = find_roles(table, columns, labelled=False)
    if taken := sorted(set(table.columns) & set(RECORD_NAMES)):
        raise UsageError(f"{table.name} has the columns {', '.join(taken)}, which predict writes itself: rename them")
    if predictor.model.pair and roles.pair is None and columns.pair_separator is None:
        raise UsageError(
            f"this model reads pairs, and {table.name} has one text a row: name the column of the second text "
            "with --pair, or what splits the text with --pair-separator '|||'"
        )
    return f"{table.name}, {table.unit}"
