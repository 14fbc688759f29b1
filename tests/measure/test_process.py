from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from limbeck.errors import CheckFailed
from limbeck.measure.process import run_process


def runs(pid: int) -> bool:
    """Whether a process still runs after the second that a killed one may take to end."""
    try:
        psutil.Process(pid).wait(timeout=1.0)
    except psutil.NoSuchProcess:
        return False
    except psutil.TimeoutExpired:  # a zombie has ended, and nobody has asked how
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_the_memory_is_that_of_the_process_and_not_of_this_one() -> None:
    small = run_process([sys.executable, "-S", "-c", "print('never seen')"])
    large = run_process([sys.executable, "-S", "-c", "b = bytearray(300_000_000)"])
    assert small.peak_bytes < 60_000_000
    assert large.peak_bytes > 300_000_000
    assert small.seconds > 0


def test_a_command_that_fails_is_said_with_its_last_words() -> None:
    with pytest.raises(CheckFailed, match=r"ended with status 3: it said nothing$"):
        run_process([sys.executable, "-c", "raise SystemExit(3)"])
    words = "import sys; sys.stderr.write('never seen' + 100_000 * ' ' + 'no variant onnx-int4\\n'); sys.exit(2)"
    with pytest.raises(CheckFailed, match=r"ended with status 2: no variant onnx-int4$"):
        run_process([sys.executable, "-c", words])


def test_what_is_interrupted_leaves_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "pid"
    code = f"import os, pathlib, time; pathlib.Path({str(told)!r}).write_text(str(os.getpid())); time.sleep(60)"

    def interrupted(*_: object) -> None:
        while not told.is_file() or not told.read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_process([sys.executable, "-S", "-c", code])
    assert not runs(int(told.read_text()))
