"""`limbeck bench`: how fast each variant answers your texts, in which way, beside whom, and why."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from limbeck.bundle import Bundle, Variant, read_bundle
from limbeck.console import say, stage
from limbeck.data import Columns, stream_input
from limbeck.engines.load import check_installed, has_openvino, is_installed, load_engine
from limbeck.errors import UsageError
from limbeck.files import write_text
from limbeck.measure import this_machine
from limbeck.measure.benchmark import Benchmark, Program, Timing
from limbeck.measure.process import run_process
from limbeck.measure.work import numpy_peak, operations, sizes_of
from limbeck.predictor import Predictor, Text, load
from limbeck.recipes.arguments import check_numbers
from limbeck.recipes.benching.advice import advice
from limbeck.recipes.benching.peers import load_peers, peers_of, time_peers
from limbeck.recipes.benching.ways import MOST_TOKENS_AT_ONCE, ClockedEngine, time_auto, time_batches
from limbeck.recipes.inputs import input_columns, input_place
from limbeck.text import Tokens
from limbeck.tuning import Objective, settings_for

BATCH, OTHER_BATCHES = 32, (8, 128)
LONGEST_SECONDS = 30.0  # a way that would take longer is not tried with more rows
COLD_RUNS = 3
OBJECTIVES: tuple[Objective, Objective] = ("latency", "throughput")


def bench(
    bundle: str | Path,
    data: Path,
    *,
    text: str | None = None,
    pair: str | None = None,
    pair_separator: str | None = None,
    rows: int = 1000,
    variant: Sequence[str] = (),
    against: Sequence[str] = (),
    threads: int | None = None,
    out: Path | None = None,
) -> Benchmark:
    """Time every variant on your own texts: one by one, in batches as they come, all at once, and as `predict` does.

    Example: `limbeck bench model reviews.csv`

    Example: `limbeck bench model reviews.csv --against transformers --out bench.html`

    Parameters
    ----------
    bundle
        The folder that `limbeck build` wrote.
    data
        A CSV, TSV, JSONL or Parquet file of texts.
    text
        The column of the text; by default the one named in training, or where none was, found by its usual names.
    pair
        The column of the second text of a pair.
    pair_separator
        What splits each text into a pair, such as '|||'; by default as in the training data.
    rows
        Read at most so many rows.
    variant
        Time these variants; by default all whose engine is installed.
    against
        Time these too, on the same weights: transformers (its pipeline), sentence-transformers, optimum-intel.
    threads
        Compute threads; by default what was tuned, or what the CPU quota and affinity allow.
    out
        Write a page with plots to this .html file.
    """
    check_numbers(rows=rows, threads=threads)
    opened = read_bundle(bundle)
    named = peers_of(against, opened.manifest.task.name, opened.manifest.model.pooling)
    page = _page_maker(out)
    variants = [opened.variant(name) for name in variant] or _installed(opened)
    for one in variants:
        check_installed(one)
    # Where none is chosen, the first that was named stands for it.
    chosen = variant[0] if variant and opened.manifest.chosen is None else None
    predictor = load(bundle, variant=chosen, threads=threads, objective="throughput")
    texts, left_out = _texts(predictor, data, Columns(text=text, pair=pair, pair_separator=pair_separator), rows)
    peers = load_peers(named, predictor, texts)
    with stage("Timing whole programs"):
        programs = tuple(_program(opened, one, texts, threads) for one in variants)
    timings: list[Timing] = []
    for one in variants:
        with stage(f"Timing {one.name} on {len(texts):,} texts"):
            timings += _timings(opened, one, texts, threads)
    if peers:
        with stage(f"Timing {', '.join(peers)} on {len(texts):,} texts"):
            timings += time_peers(peers, texts, predictor.predict(texts))
    with stage("Timing matrix products"):
        peaks = _peaks(variants)
    tokens = predictor.prepare(texts).tokens
    work = _operations(opened, tokens)
    found = Benchmark(
        bundle=str(bundle),
        data=str(data),
        machine=this_machine(),
        rows=len(texts),
        left_out=left_out,
        tokens=sum(map(len, tokens)),
        operations=work,
        peaks=peaks,
        share_of_peak=_shares_of_peak(work, peaks, variants, timings),
        timings=tuple(timings),
        programs=programs,
        chosen=predictor.variant.name,
        advice=tuple(advice(timings, predictor, tokens)),
        page=str(out) if out else None,
    )
    if out is not None and page is not None:
        write_text(out, page(found))
    return found


def _page_maker(out: Path | None) -> Callable[[Benchmark], str] | None:
    """What makes the page, if one is wanted: what it lacks is said before anything is timed."""
    if out is None:
        return None
    if out.suffix != ".html":
        raise UsageError(f"--out {out}: expected a file that ends in .html")
    # Plots need matplotlib, of the train extra.
    from limbeck.report.bench_page import bench_page

    return bench_page


def _texts(predictor: Predictor, data: Path, said: Columns, rows: int) -> tuple[list[Text], int]:
    """Texts to time, at most so many, and how many bad rows among them were left out, which is said."""
    columns = input_columns(predictor, said)
    input_place(predictor, data, columns, said)
    bad: list[str] = []
    found = islice(stream_input(data, columns, skip_bad_rows=True, on_bad=bad.append), rows)
    texts: list[Text] = [row.text if row.pair is None else (row.text, row.pair) for row in found]
    if bad:
        say(f"  left out as bad: {len(bad):,} rows, the first {bad[0]}")
    if not texts:
        raise UsageError(f"{data} has no rows to time")
    return texts, len(bad)


def _installed(bundle: Bundle) -> list[Variant]:
    return [variant for variant in bundle.manifest.variants if is_installed(variant.engine)]


def _timings(bundle: Bundle, variant: Variant, texts: Sequence[Text], threads: int | None) -> Iterator[Timing]:
    """All ways over 10, 100, … texts, a way no further once it would take too long."""
    alone, many = (_clocked(bundle, variant, objective, threads) for objective in OBJECTIVES)
    for predictor, _ in (alone, many):
        predictor.predict(texts[:8])  # the first call is slower
    longest = max(map(len, many[0].prepare(texts).tokens))
    counts = [*(10**n for n in range(1, 9) if 2 * 10**n < len(texts)), len(texts)]
    slowest: dict[str, float] = {}
    for count in counts:
        batches = (BATCH, *OTHER_BATCHES) if count == counts[-1] else (BATCH,)
        in_batches = {f"batch {n}": n for n in sorted(batches) if n < count}
        sizes = {"single": 1, **in_batches, "full": count, "auto": 0}
        for way, size in sizes.items():
            too_large = way == "full" and count * longest > MOST_TOKENS_AT_ONCE
            if too_large or slowest.get(way, 0.0) * count > LONGEST_SECONDS:
                continue
            predictor, clock = alone if size == 1 else many
            clock.reset()
            given = texts[:count]
            found = time_batches(predictor, clock, given, size, way) if size else time_auto(predictor, clock, given)
            slowest[way] = found.seconds / count
            yield found


def _clocked(
    bundle: Bundle, variant: Variant, objective: Objective, threads: int | None
) -> tuple[Predictor, ClockedEngine]:
    settings = settings_for(bundle, variant, objective, threads)
    clock = ClockedEngine(load_engine(bundle.folder, variant, settings))
    return Predictor(bundle, variant, clock, settings), clock


def _program(bundle: Bundle, variant: Variant, texts: Sequence[Text], threads: int | None) -> Program:
    """`limbeck predict` for one text, the median of three, and for all of them."""
    begin = [sys.executable, "-m", "limbeck", "predict", str(bundle.folder), "--variant", variant.name]
    begin += ["--threads", str(threads)] if threads else []
    with tempfile.TemporaryDirectory() as folder:
        file, answers = Path(folder) / "texts.jsonl", Path(folder) / "answers.jsonl"
        names = ("text", "pair") if bundle.manifest.model.pair else ("text",)
        lines = [dict(zip(names, t if isinstance(t, tuple) else (t,), strict=True)) for t in texts]
        columns = [part for name in names for part in (f"--{name}", name)]
        write = partial(write_text, file)
        command = [*begin, "--input", str(file), "--output", str(answers), *columns]
        write(json.dumps(lines[0]) + "\n")
        alone = [run_process(command) for _ in range(COLD_RUNS)]
        write("".join(json.dumps(line) + "\n" for line in lines))
        every = run_process(command)
    return Program(
        variant=variant.name,
        one_seconds=statistics.median(run.seconds for run in alone),
        one_peak_bytes=max(run.peak_bytes for run in alone),
        all_seconds=every.seconds,
        all_peak_bytes=every.peak_bytes,
    )


def _peaks(variants: Sequence[Variant]) -> dict[str, float]:
    """Operations a second of the fastest product we know how to make, by precision.

    A lower precision whose product is no faster than fp32's has none: on CPUs without VNNI OpenVINO's int8 is slower,
    and ONNX Runtime's beats it.
    """
    fp32 = numpy_peak()
    if not has_openvino():
        return {"fp32": fp32}
    from limbeck.engines.openvino_peak import openvino_peak

    fp32 = max(fp32, openvino_peak("fp32"))
    lower = {variant.precision for variant in variants} - {"fp32"}
    rates = {precision: openvino_peak(precision) for precision in sorted(lower)}
    return {"fp32": fp32, **{precision: rate for precision, rate in rates.items() if rate > fp32}}


def _operations(bundle: Bundle, tokens: Sequence[Tokens]) -> float | None:
    sizes = sizes_of(json.loads((bundle.folder / "config.json").read_text(encoding="utf-8")))
    return operations([len(t) for t in tokens], sizes) if sizes else None


def _shares_of_peak(
    work: float | None, peaks: dict[str, float], variants: Sequence[Variant], timings: Sequence[Timing]
) -> dict[str, float]:
    most = max(timing.rows for timing in timings)
    seconds = {t.variant: t.seconds for t in timings if t.way == "auto" and t.rows == most}
    return {
        v.name: work / seconds[v.name] / peaks[v.precision]
        for v in variants
        if work and v.precision in peaks and v.name in seconds
    }
