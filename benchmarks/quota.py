"""One CPU of a machine that has more: what `limbeck tune` chooses there, beside the same program with threads by hand.

    python benchmarks/quota.py BUNDLE DATA [ROWS]

The process is held to one CPU before anything is loaded, as `taskset` would. Every choice is timed in turn, three
turns, the median.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from common import show, texts_and_labels

import limbeck
from limbeck.measure import usable_cpus

TURNS, MOST_THREADS = 3, 4


def main(bundle: str, data: str, rows: str = "2000") -> None:
    """Tune on one CPU and time what it chose, all defaults, and 1, 2 and 4 threads by hand."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    texts, _ = texts_and_labels(Path(data), int(rows))
    untuned = limbeck.load(bundle, objective="throughput")
    tuning = limbeck.tune(bundle)
    ways = {
        "tuned": limbeck.load(bundle, objective="throughput"),
        "as it comes": untuned,
        **{
            f"by hand, --threads {n}": limbeck.load(bundle, threads=n, objective="throughput")
            for n in (1, 2, MOST_THREADS)
        },
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for predictor in ways.values():
        predictor.predict(texts)  # OpenVINO makes its kernels
    for _ in range(TURNS):
        for way, predictor in ways.items():
            start = time.perf_counter()
            predictor.predict(texts)
            seconds[way].append(time.perf_counter() - start)
    rates = {way: len(texts) / statistics.median(taken) for way, taken in seconds.items()}
    best = max(rate for way, rate in rates.items() if way.startswith("by hand"))
    chosen = f"{tuning.throughput.threads} threads, {tuning.throughput.streams} streams"
    show(
        f"{len(texts)} texts with {tuning.variant} on {usable_cpus()} CPU; tuned: {chosen} for many texts, "
        f"{tuning.latency.threads} for single ones",
        ["settings", "rows/s", "of the best by hand"],
        [[way, rate, rate / best] for way, rate in rates.items()],
        rows_per_second=rates,
        threads={"single": tuning.latency.threads, "many": tuning.throughput.threads},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
