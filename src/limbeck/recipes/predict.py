"""`limbeck predict`: texts from arguments, standard input or a file; answers to a terminal, JSONL, CSV or Parquet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from limbeck.data import Columns, InputRow, check_input, stream_input
from limbeck.data.writers import OutputFormat, format_of, open_writer
from limbeck.errors import UsageError
from limbeck.predictor import Predictor, load
from limbeck.tasks.records import Record, to_record
from limbeck.text import OnLong

CHUNK_ROWS, CHUNK_CHARACTERS = 4_096, 8_000_000  # enough rows to sort by length, little enough to hold


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a prediction run did. `truncated_rows` texts were longer than the model reads and were cut."""

    rows: int
    truncated_rows: int
    windowed_rows: int
    skipped_rows: int
    seconds: float
    variant: str
    output: str


def predict(
    bundle: Path,
    *texts: str,
    input: Path | None = None,
    output: Path | None = None,
    format: OutputFormat | None = None,
    text: str | None = None,
    pair: str | None = None,
    pair_separator: str | None = None,
    skip_bad_rows: bool = False,
    scores: bool = False,
    on_long: OnLong = "truncate",
    max_tokens: int | None = None,
    variant: str | None = None,
    threads: int | None = None,
) -> Predicted:
    """Answer texts given as arguments, on standard input (one a line) or in a file, in their order.

    A file's own columns are written too, before the prediction.

    Example: `limbeck predict model "a fine film" "a dull one"`

    Example: `limbeck predict model --input reviews.csv --output answers.jsonl`

    Parameters
    ----------
    bundle
        The folder that `limbeck build` wrote.
    texts
        The texts themselves; none, or -, reads standard input.
    input
        A CSV, TSV, JSONL or Parquet file of texts, of any size.
    output
        The file to write (.jsonl, .csv, .parquet); by default standard output.
    format
        table, jsonl, csv or parquet; by default as the output's name says, a table on a terminal, else JSONL.
    text
        The column of the text; by default as in the training data, or found by its usual names.
    pair
        The column of the second text of a pair.
    pair_separator
        What splits each text into a pair, such as '|||'.
    skip_bad_rows
        Leave bad rows out of the output, count them and write them to OUTPUT-skipped.jsonl.
    scores
        Write every label's score.
    on_long
        What to do with texts longer than the model reads: cut them, read them in windows, or refuse them.
    max_tokens
        Read at most so many tokens of a text; by default what the model was trained with.
    variant
        Answer with this variant; by default the chosen one.
    threads
        Compute threads; by default what the CPU quota and affinity allow.
    """
    if input is not None and texts:
        raise UsageError("give texts as arguments or a file with --input, not both")
    form = format_of(output, format, terminal=sys.stdout.isatty())
    predictor = load(bundle, variant=variant, threads=threads, max_tokens=max_tokens)
    columns = Columns(text=text, pair=pair, pair_separator=pair_separator)
    skipped = 0
    if input is not None:
        columns = _file_columns(predictor, columns)
        rejects = input.with_name(f"{input.stem}-skipped.jsonl") if skip_bad_rows else None
        skipped = check_input(input, columns, skipped=rejects).skipped
        rows: Iterable[InputRow] = stream_input(input, columns, skip_bad_rows=skip_bad_rows)
    else:
        given = list(texts) if texts and texts != ("-",) else _standard_input()
        rows = _as_rows(given, columns, predictor.model.pair)
    start = time.monotonic()
    done = truncated = windowed = 0
    with open_writer(output, form) as write:
        for chunk in _chunks(rows):
            records = list(_answers(predictor, chunk, on_long, scores))
            write(records)
            done += len(records)
            truncated += sum(bool(r["truncated_tokens"]) for r in records)
            windowed += sum(r["windows"] != 1 for r in records)
    seconds = time.monotonic() - start
    where = str(output) if output else "standard output"
    return Predicted(done, truncated, windowed, skipped, seconds, predictor.variant.name, where)


def _file_columns(predictor: Predictor, columns: Columns) -> Columns:
    """The columns that were named, else those of the training data where they were named then."""
    if columns.text or columns.pair_separator:
        return columns
    trained = predictor.bundle.manifest.source.columns
    return Columns(text=trained["text"], pair=trained["pair"], pair_separator=trained["pair_separator"])


def _standard_input() -> Iterator[str]:
    if sys.stdin.isatty():
        sys.stderr.write("Reading texts from the terminal, one a line; end with Ctrl-D.\n")
    for line in sys.stdin:
        yield line.rstrip("\r\n")


def _as_rows(texts: Iterable[str], columns: Columns, pair: bool) -> Iterator[InputRow]:
    for number, text in enumerate(texts, start=1):
        if not pair:
            yield InputRow(number, text, None, {"text": text})
            continue
        separator = columns.pair_separator
        if separator is None:
            raise UsageError("this model reads pairs: say what splits each text with --pair-separator '|||'")
        first, found, second = text.partition(separator)
        if not found:
            raise UsageError(f"text {number} has no {separator!r}, which --pair-separator expects: {text!r:.80}")
        yield InputRow(number, first.strip(), second.strip(), {"text": first.strip(), "pair": second.strip()})


def _chunks(rows: Iterable[InputRow]) -> Iterator[list[InputRow]]:
    chunk: list[InputRow] = []
    characters = 0
    for row in rows:
        chunk.append(row)
        characters += len(row.text) + len(row.pair or "")
        if len(chunk) >= CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _answers(predictor: Predictor, chunk: list[InputRow], on_long: OnLong, scores: bool) -> Iterator[Record]:
    texts = [row.text if row.pair is None else (row.text, row.pair) for row in chunk]
    for row, result in zip(chunk, predictor.predict(texts, on_long=on_long), strict=True):
        yield {**row.fields, **to_record(result, scores=scores)}
