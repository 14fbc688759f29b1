"""How fast something runs: rows a second, and milliseconds for one row.

Other processes on a machine can turn a ratio of speeds around, so a window in which they used much of the CPU time is
measured again.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from limbeck.errors import UsageError

STAT = Path("/proc/stat")

SETTLED_WINDOWS = 3
SETTLED_SPREAD = 0.05
DISTURBED_SHARE = 0.10
FEWEST_CALLS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The speed of one variant.

    `rows_per_second` in batches, as the batch job runs them; `single_ms` (median) and `single_p95_ms` (95th
    percentile) for one row alone; `rows` is how many different rows were run.
    """

    rows_per_second: float
    single_ms: float
    single_p95_ms: float
    rows: int


class SingleLatency(NamedTuple):
    """Milliseconds for one row alone: the median and the 95th percentile."""

    median_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """CPU seconds: `total_s` of all CPUs since boot, `busy_s` not idle, `own_s` used by this process.

    `own_s` counts every thread, and no child process: children are others here.
    """

    total_s: float
    busy_s: float
    own_s: float


def read_cpu_times(stat: Path = STAT) -> CpuTimes | None:
    """The machine's CPU times from `/proc/stat` (proc_stat(5)); None where there is no such file.

    Time stolen by other virtual machines counts as busy, for it is lost to this process.
    """
    try:
        first_line = stat.read_text(encoding="ascii").split("\n", 1)[0]
    except OSError:
        return None
    # user nice system idle iowait irq softirq steal; guest times follow and are part of user and nice.
    ticks = [int(field) for field in first_line.split()[1:9]]
    seconds = 1 / os.sysconf("SC_CLK_TCK")
    total = sum(ticks)
    idle = sum(ticks[3:5])
    return CpuTimes(
        total_s=total * seconds,
        busy_s=(total - idle) * seconds,
        own_s=time.process_time(),
    )


def rows_per_second(
    run: Callable[[], int],
    *,
    seconds: float = 1.0,
    max_windows: int = 12,
    max_repeats: int = 6,
    clock: Callable[[], float] = time.perf_counter,
    cpu_times: Callable[[], CpuTimes | None] = read_cpu_times,
) -> float:
    """The rows a second of `run`, which does some work and returns how many rows it was.

    Windows of at least `seconds` are measured until the last three lie within 5 % of their median, which counts; where
    `max_windows` did not settle, that of all does. A window in which other processes used more than 10 % of the
    machine's CPU time is measured again, at most `max_repeats` times in all. One call of `run` goes before, unmeasured,
    for what only a first call does.

    Raises:
        UsageError: `run` did no row.

    """
    run()
    rates: list[float] = []
    repeated = 0
    agreed = False
    while len(rates) < max_windows and not agreed:
        before = cpu_times()
        rate = _window_rate(run, seconds, clock)
        share = _others_share(before, cpu_times())
        if share is not None and share > DISTURBED_SHARE and repeated < max_repeats:
            repeated += 1
            continue
        rates.append(rate)
        agreed = settled(rates)
    return statistics.median(rates[-SETTLED_WINDOWS:] if agreed else rates)


def single_ms(
    run_one: Callable[[int], object],
    count: int = 100,
    *,
    warmup: int = 5,
    limit_s: float = 30.0,
    clock: Callable[[], float] = time.perf_counter,
) -> SingleLatency:
    """Time `run_one(0)`, …, `run_one(count - 1)`, one call after another.

    `warmup` calls go before, unmeasured. After `limit_s` seconds no further call is made once ten were timed.

    Raises:
        UsageError: `count` is below 1.

    """
    if count < 1:
        raise UsageError(f"at least one call must be timed, got count={count}")
    for index in range(warmup):
        run_one(index % count)
    times_ms: list[float] = []
    begin = clock()
    for index in range(count):
        start = clock()
        run_one(index)
        end = clock()
        times_ms.append((end - start) * 1000)
        if end - begin > limit_s and len(times_ms) >= FEWEST_CALLS:
            break
    return SingleLatency(
        median_ms=statistics.median(times_ms),
        p95_ms=float(np.percentile(times_ms, 95)),
    )


def _window_rate(run: Callable[[], int], seconds: float, clock: Callable[[], float]) -> float:
    rows = 0
    start = clock()
    while (elapsed := clock() - start) < seconds or rows == 0:
        done = run()
        if done < 1:
            raise UsageError(f"a run must do at least one row to be timed, got {done}")
        rows += done
    return rows / elapsed


def _others_share(before: CpuTimes | None, after: CpuTimes | None) -> float | None:
    """The share of the machine's CPU time between two readings that went to other processes, 0 to 1."""
    if before is None or after is None or after.total_s <= before.total_s:
        return None
    others_s = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return min(1.0, max(0.0, others_s / (after.total_s - before.total_s)))


def settled(rates: list[float]) -> bool:
    """Whether the last three rates lie within 5 % of their median."""
    last = rates[-SETTLED_WINDOWS:]
    return len(last) == SETTLED_WINDOWS and max(last) - min(last) <= SETTLED_SPREAD * statistics.median(last)
