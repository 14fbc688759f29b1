"""The page that `bench` writes: what is fast, where the time goes, and what to change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.measure.benchmark import Benchmark, Timing
from limbeck.report.bench_plots import batch_plot, colours_of, shares_plot, time_plot
from limbeck.report.html import Html, el, esc, figure, figures, join, paragraphs, table
from limbeck.report.page import frame

_WAYS = (
    "single: one text after another; batch 32: so many in the order of the file, padded to the longest of each batch; "
    "full: all in one batch; auto: as predict does, by length under a token budget, equal texts once."
)
_SHARES = (
    "computing: matrix work on the tokens of texts; padding: the same on tokens that only fill a batch; waiting: what "
    "is between them, such as copying rows into batches."
)


def bench_page(found: Benchmark) -> str:
    """The whole page, as HTML."""
    last = [t for t in found.timings if t.rows == found.rows]
    body = join(
        [
            el("h1", f"How fast is {Path(found.bundle).name}?"),
            _head(found, last),
            el("section", el("h2", "What to change"), el("ul", *(el("li", line) for line in found.advice)))
            if found.advice
            else "",
            el("section", el("h2", "Time against texts"), _time_plots(found), paragraphs([_WAYS], "note")),
            el("section", el("h2", "Where the time goes"), figure(shares_plot(last), _SHARES, wide=True)),
            el("section", el("h2", f"All ways, {found.rows:,} texts"), _ways_table(found, last)),
            el("section", el("h2", "As a program"), _programs_table(found)),
        ]
    )
    return frame(f"{Path(found.bundle).name}: limbeck bench", body)


def _head(found: Benchmark, last: Sequence[Timing]) -> Html:
    machine, auto = found.machine, next((t for t in last if (t.variant, t.way) == (found.chosen, "auto")), None)
    single = next((t for t in last if (t.variant, t.way) == (found.chosen, "single")), None)
    cards = [
        *([(f"{auto.rows_per_second:,.0f}", f"texts a second, {found.chosen}, as predict does")] if auto else []),
        *([(f"{single.p50_ms:.1f} ms", f"one text, median; 99 % in {single.p99_ms:.1f} ms")] if single else []),
        *(
            [(f"{found.share_of_peak[found.chosen]:.0%}", "of this machine's matrix peak")]
            if found.chosen in found.share_of_peak
            else []
        ),
    ]
    bad = f" ({found.left_out:,} bad rows left out)" if found.left_out else ""
    where = (
        f"{found.rows:,} texts of {found.data}{bad}, {found.tokens / found.rows:.0f} tokens on average, on "
        f"{machine.cpu}, {machine.cpus:g} CPUs ({', '.join(machine.instruction_sets)})."
    )
    shown = (el("div", el("b", value), el("span", what), class_="card") for value, what in cards)
    return join([el("p", where), el("div", *shown, class_="cards")])


def _time_plots(found: Benchmark) -> Html:
    of_chosen: dict[str, list[Timing]] = {"auto": []}
    of_all: dict[str, list[Timing]] = {found.chosen: []}
    for t in found.timings:
        if t.variant == found.chosen and t.way in ("auto", "single", "batch 32", "full"):
            of_chosen.setdefault(t.way, []).append(t)
        if t.way == "auto":
            of_all.setdefault(t.variant, []).append(t)
    rates: dict[str, dict[int, float]] = {}
    for t in found.timings:
        size = 1 if t.way == "single" else int(t.way.removeprefix("batch ")) if t.way.startswith("batch ") else 0
        if size and t.rows == found.rows:
            rates.setdefault(t.variant, {})[size] = t.rows_per_second
    of_variants, of_ways = colours_of((found.chosen, *rates, *of_all)), colours_of(of_chosen)
    ordered = {variant: dict(sorted(by_size.items())) for variant, by_size in rates.items()}
    return figures(
        figure(time_plot("ways", "Seconds of each way", of_chosen, of_ways), f"{found.chosen} in each way."),
        figure(
            time_plot("variants", "Seconds of each variant", of_all, of_variants),
            "Each variant as predict runs it (auto).",
        ),
        figure(batch_plot(ordered, of_variants), "Batches in file order: more texts, more padding."),
    )


def _ways_table(found: Benchmark, last: Sequence[Timing]) -> Html:
    best = max((t.rows_per_second for t in last), default=0.0)
    head = ["variant", "way", "rows/s", "of the best", "tokens/s", "padded tokens", "p50", "p95", "p99"]
    peers = any(t.same_answers is not None for t in last)
    head += ["same answers"] if peers else []
    rows = [
        [
            t.variant,
            t.way,
            f"{t.rows_per_second:,.1f}",
            f"{t.rows_per_second / best:.0%}",
            f"{t.tokens_per_second:,.0f}" if t.tokens_per_second else "",
            f"{t.padding:.1%}" if t.padding is not None else "",
            *(f"{ms:.1f} ms" if ms is not None else "" for ms in (t.p50_ms, t.p95_ms, t.p99_ms)),
            *([f"{t.same_answers:.1%}" if t.same_answers is not None else ""] if peers else []),
        ]
        for t in sorted(last, key=lambda t: -t.rows_per_second)
    ]
    return table(head, rows, words=(0, 1))


def _programs_table(found: Benchmark) -> Html:
    head = ("variant", "one text, from nothing", "memory", f"all {found.rows:,} texts", "memory", "of the matrix peak")
    rows = [
        (
            p.variant,
            f"{p.one_seconds:.2f} s",
            f"{p.one_peak_bytes / 1e6:.0f} MB",
            f"{p.all_seconds:.1f} s",
            f"{p.all_peak_bytes / 1e6:.0f} MB",
            f"{found.share_of_peak[p.variant]:.0%}" if p.variant in found.share_of_peak else "",
        )
        for p in found.programs
    ]
    peaks = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in found.peaks.items())
    note = (
        f"Matrix peaks measured here, in 10⁹ operations a second: {peaks}. The share counts the work of all layers on "
        "the tokens of the texts, as if none were left out, against the peak of the variant's precision, over all that "
        "predict does, tokenising included."
    )
    return join([table(head, rows), paragraphs([esc(note)], "note")])
