"""What is said to people while something runs: on standard error, so that standard output stays for results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_A_LINE = 60.0  # of progress, in a log

_silenced = False


def say(message: str) -> None:
    """One line for the user."""
    if not _silenced:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()


def silence() -> None:
    """Say nothing from now on: of several processes the first speaks for all."""
    global _silenced
    _silenced = True


def silenced() -> bool:
    """Whether another process speaks for this one."""
    return _silenced


def notes(lines: Iterator[str] | tuple[str, ...]) -> None:
    """Remarks, indented under the stage they belong to."""
    for line in lines:
        say(f"  {line}")


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Announce a stage and, when it is done, its time."""
    say(f"{name} …")
    start = time.monotonic()
    yield
    say(f"{name}: done in {duration(time.monotonic() - start)}")


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Callable[[int, str], None]]:
    """A progress bar, or where there is no terminal a line a minute; call what it yields with the count done so far
    and a short remark.
    """
    if not sys.stderr.isatty() and "ipykernel" not in sys.modules:  # notebooks have bars of their own
        yield _line_a_minute(what, total)
        return
    # What shows no bar starts faster without it.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=_silenced), transient=True) as progress:
        task = progress.add_task(what, total=total, remark="")
        yield lambda done, remark: progress.update(task, completed=done, remark=remark)


def _line_a_minute(what: str, total: int | None) -> Callable[[int, str], None]:
    begun: tuple[float, int] | None = None  # when, and with how much done: what was resumed was not done now
    said = time.monotonic()

    def update(done: int, remark: str) -> None:
        nonlocal said, begun
        now = time.monotonic()
        start, first = begun = begun or (now, done)
        if now - said < SECONDS_A_LINE:
            return
        said = now
        left = duration((total - done) * (now - start) / (done - first)) + " left" if total and done > first else ""
        after = ", ".join(part for part in (remark, left) if part)
        say(f"  {what} {done:,}" + (f" of {total:,}" if total else "") + (f": {after}" if after else ""))

    return update


def duration(seconds: float) -> str:
    """`4.2 s`, `3 min 07 s` or `1 h 02 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def megabytes(size_bytes: int) -> str:
    """`22.8 MB`, and `45 kB` below one."""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
