from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from limbeck.errors import UsageError
from limbeck.measure import Speed, rows_per_second, single_ms
from limbeck.measure.latency import CpuTimes, read_cpu_times


class Machine:
    """A clock that only work moves: each call of `run` takes the next of `call_s`, the last one for ever."""

    def __init__(self, *call_s: float, others: tuple[float, ...] = (0.0,)) -> None:
        self.now = 0.0
        self.calls = 0
        self.call_s = call_s
        self.others = others
        self.windows = 0

    def run(self) -> int:
        # Call 0 is the warm-up, and takes time like the first.
        self.now += self.call_s[min(max(0, self.calls - 1), len(self.call_s) - 1)]
        self.calls += 1
        return 10

    def clock(self) -> float:
        return self.now

    def cpu_times(self) -> CpuTimes:
        """Two readings a window, 10 s apart on a machine with one CPU, of which others used a share."""
        share = self.others[min(self.windows // 2, len(self.others) - 1)] if self.windows % 2 else 0.0
        self.windows += 1
        odd = self.windows % 2 == 0
        return CpuTimes(
            total_s=10.0 * odd,
            busy_s=(2.0 + 10.0 * share) * odd,
            own_s=2.0 * odd,
        )


def unknown() -> None:
    return None


def test_steady_work_needs_three_windows() -> None:
    machine = Machine(0.5)
    found = rows_per_second(machine.run, seconds=2.0, clock=machine.clock, cpu_times=machine.cpu_times)
    assert found == pytest.approx(20.0)
    assert machine.calls == 1 + 3 * 4  # a call that warms up, and three windows of four


def test_windows_go_on_until_three_agree() -> None:
    # One call a window: 10, 5 and then 2 rows a second with less than 5 % between them.
    machine = Machine(1.0, 2.0, 5.0, 5.1, 4.9)
    found = rows_per_second(machine.run, seconds=0.1, clock=machine.clock, cpu_times=unknown)
    assert machine.calls == 1 + 5
    assert found == pytest.approx(2.0)


def test_the_limit_ends_it_with_the_median_of_all() -> None:
    machine = Machine(1.0, 2.0, 4.0, 8.0)
    found = rows_per_second(machine.run, seconds=0.1, max_windows=4, clock=machine.clock, cpu_times=unknown)
    assert machine.calls == 1 + 4
    assert found == pytest.approx((5.0 + 2.5) / 2)


def test_a_disturbed_window_is_measured_again() -> None:
    machine = Machine(9.0, 1.0, others=(0.5, 0.05, 0.0))
    found = rows_per_second(machine.run, seconds=0.1, clock=machine.clock, cpu_times=machine.cpu_times)
    assert machine.calls == 1 + 4
    assert found == pytest.approx(10.0)


def test_repeats_are_bounded() -> None:
    machine = Machine(1.0, others=(0.8,))
    found = rows_per_second(machine.run, seconds=0.1, max_repeats=4, clock=machine.clock, cpu_times=machine.cpu_times)
    assert machine.calls == 1 + 4 + 3
    assert found == pytest.approx(10.0)


def test_no_rows_is_an_error() -> None:
    with pytest.raises(UsageError, match="at least one row"):
        rows_per_second(lambda: 0, seconds=0.0)


def test_rows_per_second_on_the_real_clock() -> None:
    assert rows_per_second(lambda: sum(range(100)) and 5, seconds=0.001) > 0


def ticking(steps: list[float]) -> Callable[[], float]:
    now = 0.0
    moves = iter(steps)

    def clock() -> float:
        nonlocal now
        now += next(moves)
        return now

    return clock


def test_single_ms_by_hand() -> None:
    seen: list[int] = []
    # begin, then start and end of each of five calls: 1, 2, 3, 4 and 10 ms.
    steps = [0.0] + [step for ms in (1, 2, 3, 4, 10) for step in (0.0, ms / 1000)]
    found = single_ms(seen.append, 5, warmup=2, clock=ticking(steps))
    assert seen == [0, 1, 0, 1, 2, 3, 4]
    assert found.median_ms == pytest.approx(3.0)
    assert found.p95_ms == pytest.approx(4 + 0.8 * 6)  # four fifths of the way from the 4th to the 5th


def test_single_ms_stops_at_its_limit_after_ten() -> None:
    seen: list[int] = []
    single_ms(seen.append, 100, warmup=0, limit_s=3.0, clock=ticking([0.0] + [0.0, 1.0] * 100))
    assert seen == list(range(10))


def test_single_ms_of_nothing() -> None:
    with pytest.raises(UsageError, match="count=0"):
        single_ms(print, 0)


def test_cpu_times_of_a_stat_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    # user nice system idle iowait irq softirq steal guest guest_nice
    (tmp_path / "stat").write_text("cpu  100 0 200 500 100 0 0 100 50 0\ncpu0 1 2 3\n", encoding="ascii")
    found = read_cpu_times(tmp_path / "stat")
    assert found is not None
    assert found.total_s == pytest.approx(10.0)
    assert found.busy_s == pytest.approx(4.0)
    assert found.own_s > 0


def test_no_stat_file(tmp_path: Path) -> None:
    assert read_cpu_times(tmp_path / "absent") is None


def test_speed_survives_json() -> None:
    speed = Speed(rows_per_second=367.5, single_ms=2.7, single_p95_ms=3.1, rows=872)
    assert msgspec.json.decode(msgspec.json.encode(speed), type=Speed) == speed
