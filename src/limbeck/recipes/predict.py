"""`limbeck predict`: texts from arguments, standard input or a file; answers to a terminal, JSONL, CSV or Parquet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

from limbeck.console import say
from limbeck.data import Columns, InputRow, check_input, stream_input
from limbeck.data.problems import SHOWN, character_problem
from limbeck.data.sources import FORMATS
from limbeck.data.writers import OutputFormat, format_of, open_writer
from limbeck.errors import TooLong, UsageError
from limbeck.predictor import Predictor, load
from limbeck.recipes.arguments import check_numbers
from limbeck.recipes.inputs import input_columns, input_place
from limbeck.tasks.records import Record, to_record
from limbeck.text import OnLong
from limbeck.tuning import Objective

CHUNK_ROWS, CHUNK_CHARACTERS = 4_096, 8_000_000  # enough rows to sort by length, little enough to hold
STANDARD_OUTPUT = "standard output"


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
    bundle: str | Path,
    *texts: str,
    input: Path | None = None,
    output: Path | None = None,
    format: OutputFormat | None = None,
    text: str | None = None,
    pair: str | None = None,
    pair_separator: str | None = None,
    skip_bad_rows: bool = False,
    scores: bool = False,
    on_long: OnLong | None = None,
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
        What splits each text into a pair, such as '|||'; by default as in the training data.
    skip_bad_rows
        Leave bad rows of a file out, count them and write them to OUTPUT-skipped.jsonl.
    scores
        Write every label's score.
    on_long
        What to do with texts longer than the model reads: cut them, read them in windows, or refuse them; by default
        those to tag or to answer from are read in windows, and all others cut.
    max_tokens
        Read at most so many tokens of a text; by default what the model was trained with.
    variant
        Answer with this variant; by default the chosen one.
    threads
        Compute threads; by default what the CPU quota and affinity allow.
    """
    if input is not None and texts:
        raise UsageError("give texts as arguments or a file with --input, not both")
    if input is None and (text or pair or skip_bad_rows):
        raise UsageError("--text, --pair and --skip-bad-rows are for files: name the file with --input")
    check_numbers(threads=threads)
    form = format_of(output, format, terminal=sys.stdout.isatty())
    objective: Objective = "throughput" if input is not None or not texts or texts == ("-",) else "latency"
    predictor = load(bundle, variant=variant, threads=threads, max_tokens=max_tokens, objective=objective)
    if variant is None and predictor.variant.name != (chosen := predictor.bundle.manifest.chosen):
        say(f"{predictor.variant.name} answers: {chosen} is faster and needs `pip install 'limbeck[openvino]'`")
    columns = input_columns(predictor, Columns(text=text, pair=pair, pair_separator=pair_separator))
    skipped = 0
    if input is not None:
        place = input_place(predictor, input, columns)
        beside = output or input
        rejects = beside.with_name(f"{beside.stem}-skipped.jsonl") if skip_bad_rows else None
        skipped = check_input(input, columns, skipped=rejects).skipped
        rows: Iterable[InputRow] = stream_input(input, columns, skip_bad_rows=skip_bad_rows)
    elif texts and texts != ("-",):
        _refuse_file_names(texts)
        place, rows = "text", _as_rows(texts, "text", columns.pair_separator, predictor.model.pair)
    else:
        place = "standard input, line"
        rows = _as_rows(_standard_input(), place, columns.pair_separator, predictor.model.pair)
    start = time.monotonic()
    done = truncated = windowed = 0
    with open_writer(output, form) as write:
        for chunk in _chunks(rows):
            records = list(_answers(predictor, chunk, place, on_long, scores))
            write(records)
            done += len(records)
            truncated += sum(bool(r["truncated_tokens"]) for r in records)
            windowed += sum(r["windows"] != 1 for r in records)
    seconds = time.monotonic() - start
    where = str(output) if output else STANDARD_OUTPUT
    return Predicted(done, truncated, windowed, skipped, seconds, predictor.variant.name, where)


def _refuse_file_names(texts: tuple[str, ...]) -> None:
    """Raise `UsageError` for a text that names a file of data: nobody asks what a file's name says."""
    named = [text for text in texts if Path(text).suffix in FORMATS and Path(text).is_file()]
    if named:
        raise UsageError(f"{named[0]} is a file: name it with --input {named[0]}, or its texts on standard input")


def _standard_input() -> Iterator[str]:
    if sys.stdin.isatty():
        sys.stderr.write("Reading texts from the terminal, one a line; end with Ctrl-D.\n")
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # a broken byte is the row's problem
    for line in sys.stdin:
        yield line.rstrip("\r\n")


def _as_rows(texts: Iterable[str], place: str, separator: str | None, pair: bool) -> Iterator[InputRow]:
    """Texts that came without a file. All that is wrong with those of a chunk is one `UsageError`."""
    if pair and separator is None:
        raise UsageError(
            "this model reads pairs: say what splits each text with --pair-separator '|||', as in "
            "limbeck predict MODEL 'first text ||| second text' --pair-separator '|||'"
        )
    numbered = enumerate(texts, start=1)
    while chunk := list(islice(numbered, CHUNK_ROWS)):
        wrong = [
            f"{place} {number} {problem}: {text!r:.60}"
            for number, text in chunk
            if (problem := _problem(text, separator if pair else None))
        ]
        if wrong:
            more = f"; and {len(wrong) - SHOWN} more" * (len(wrong) > SHOWN)
            raise UsageError(
                f"{'; '.join(wrong[:SHOWN])}{more}. A file may hold bad rows: --input FILE --skip-bad-rows"
            )
        for number, text in chunk:
            if not pair:
                yield InputRow(number, text, None, {"text": text})
            else:
                first, second = (part.strip() for part in text.split(separator))
                yield InputRow(number, first, second, {"text": first, "pair": second})


def _problem(text: str, separator: str | None) -> str | None:
    if problem := character_problem(text):
        return f"is {problem}" if problem.startswith("not") else f"has {problem}"
    if not text.strip():
        return "is empty"
    if separator is None:
        return None
    parts = text.split(separator)
    if len(parts) != 2:
        return f"has {separator!r} {len(parts) - 1} times, and --pair-separator expects it once"
    return None if all(part.strip() for part in parts) else f"is empty on one side of {separator!r}"


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


def _answers(
    predictor: Predictor, chunk: list[InputRow], place: str, on_long: OnLong | None, scores: bool
) -> Iterator[Record]:
    texts = [row.text if row.pair is None else (row.text, row.pair) for row in chunk]
    try:
        results = predictor.predict(texts, on_long=on_long)
    except TooLong as error:
        raise _too_long(predictor, chunk, place) from error
    for row, result in zip(chunk, results, strict=True):
        yield {**row.fields, **to_record(result, scores=scores)}


def _too_long(predictor: Predictor, chunk: list[InputRow], place: str) -> TooLong:
    """The error with the rows' own numbers: the predictor knows them by their place in the chunk only."""
    limit = predictor.model.max_tokens
    pairs = [row.pair or "" for row in chunk] if predictor.model.pair else None
    lengths = predictor.tokenizer.lengths([row.text for row in chunk], pairs)
    long = [f"{place} {row.row} ({n} tokens)" for row, n in zip(chunk, lengths, strict=True) if n > limit]
    more = f" and {len(long) - SHOWN} more" if len(long) > SHOWN else ""
    return TooLong(
        f"longer than the {limit} tokens that the model reads: {', '.join(long[:SHOWN])}{more}. "
        "Shorten them, or choose `--on-long truncate` or `--on-long window`."
    )
