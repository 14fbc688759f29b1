"""`limbeck predict`: texts from arguments, standard input or a file; answers to a terminal, JSONL, CSV or Parquet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from limbeck.console import progress_bar, say
from limbeck.data import Columns, InputRow, check_input, stream_input
from limbeck.data.problems import SHOWN
from limbeck.data.writers import OutputFormat, format_of, open_writer
from limbeck.engines.settings import Device
from limbeck.errors import TooLong, UsageError
from limbeck.predictor import Predictor, Prepared, load
from limbeck.recipes.arguments import check_numbers, too_many_threads
from limbeck.recipes.inputs import (
    CHUNK_ROWS,
    REMEDY_OF_LINES,
    as_rows,
    input_columns,
    input_place,
    refuse_file_names,
    standard_input,
)
from limbeck.recipes.skipped import skipped_rows
from limbeck.tasks.records import Record, example_record, to_record
from limbeck.text import OnLong
from limbeck.tuning import Objective, kept_tuned

CHUNK_CHARACTERS = 8_000_000
STANDARD_OUTPUT = "standard output"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a prediction run did. `truncated_rows` texts were longer than the model reads and were cut.

    `tuned` says whether it ran as `limbeck tune` found best here.
    """

    rows: int
    truncated_rows: int
    windowed_rows: int
    skipped_rows: int
    seconds: float
    variant: str
    tuned: bool
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
    device: Device = "cpu",
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
        The file to write (.jsonl, .csv, .parquet), in the place of one that is there; by default standard output.
    format
        table, jsonl, csv or parquet; by default as the output's name says, a table on a terminal, else JSONL.
    text
        The column of the text; by default the one named in training, or where none was, found by its usual names.
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
    device
        cpu, or cuda for an NVIDIA GPU with onnxruntime-gpu; the variant is then onnx-fp32 unless another is named.
    """
    if input is not None and texts:
        raise UsageError("give texts as arguments or a file with --input, not both")
    if input is None and (text or pair or skip_bad_rows):
        raise UsageError("--text, --pair and --skip-bad-rows are for files: name the file with --input")
    check_numbers(threads=threads)
    for line in too_many_threads(threads):
        say(line)
    form = format_of(output, format, terminal=sys.stdout.isatty())
    objective: Objective = "throughput" if input is not None or not texts or texts == ("-",) else "latency"
    predictor = load(
        bundle, variant=variant, threads=threads, max_tokens=max_tokens, objective=objective, device=device
    )
    tuned = device == "cpu" and kept_tuned(predictor.bundle, predictor.variant) is not None
    if variant is None and device == "cpu" and predictor.variant.name != (chosen := predictor.bundle.manifest.chosen):
        say(f"{predictor.variant.name} answers: {chosen} is faster and needs `pip install 'limbeck[openvino]'`")
    said = Columns(text=text, pair=pair, pair_separator=pair_separator)
    columns = input_columns(predictor, said)
    beside = output or input
    rejects = beside.with_name(f"{beside.stem}-skipped.jsonl") if beside and skip_bad_rows else None
    with skipped_rows(rejects) as left_out:
        total = skipped = 0
        if input is not None:
            place = input_place(predictor, input, columns, said)
            checked = check_input(input, columns, skipped=left_out)
            total, skipped = checked.rows, checked.skipped
            rows: Iterable[InputRow] = stream_input(input, columns, skip_bad_rows=skip_bad_rows)
        elif texts and texts != ("-",):
            refuse_file_names(texts)
            place, rows = "text", as_rows(texts, "text", columns.pair_separator, predictor.model.pair)
        else:
            place = "standard input, line"
            rows = as_rows(standard_input(), place, columns.pair_separator, predictor.model.pair, REMEDY_OF_LINES)
        chunks = _prepared(predictor, rows, place, on_long)
        start = time.monotonic()
        done = truncated = windowed = 0
        # Beside rows on a terminal a bar would only be in the way.
        bar = progress_bar("Predicting", total) if total and output else nullcontext(lambda rows, remark: None)
        with open_writer(output, form, example_record(predictor.task.name)) as write, bar as progress:
            for chunk, prepared in _one_ahead(chunks) if total else chunks:
                records = _answers(predictor, chunk, prepared, scores, partial(_tell, progress, done, start))
                write(records)
                done += len(records)
                truncated += sum(bool(r["truncated_tokens"]) for r in records)
                windowed += sum(r["windows"] != 1 for r in records)
    seconds = time.monotonic() - start
    where = str(output) if output else STANDARD_OUTPUT
    return Predicted(done, truncated, windowed, skipped, seconds, predictor.variant.name, tuned, where)


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


def _prepared(
    predictor: Predictor, rows: Iterable[InputRow], place: str, on_long: OnLong | None
) -> Iterator[tuple[list[InputRow], Prepared]]:
    """Chunks of rows with their tokens."""
    for chunk in _chunks(rows):
        texts = [row.text if row.pair is None else (row.text, row.pair) for row in chunk]
        try:
            prepared = predictor.prepare(texts, on_long=on_long)
        except TooLong as error:
            raise _too_long(predictor, chunk, place) from error
        yield chunk, prepared


def _one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next one made in a thread while one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _answers(
    predictor: Predictor,
    chunk: Sequence[InputRow],
    prepared: Prepared,
    scores: bool,
    tell: Callable[[float], None],
) -> list[Record]:
    """One record a row; `tell` hears how many rows of the chunk are computed, about."""
    read = 0

    def on_batch(windows: int) -> None:
        nonlocal read
        read += windows
        tell(len(chunk) * read / len(prepared.tokens))

    results = predictor.decode(prepared, predictor.logits(prepared.tokens, on_batch=on_batch))
    return [{**row.fields, **to_record(result, scores=scores)} for row, result in zip(chunk, results, strict=True)]


def _tell(progress: Callable[[int, str], None], before: int, start: float, more: float) -> None:
    done = before + more
    progress(int(done), f"{done / (time.monotonic() - start):.0f} rows/s")


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
