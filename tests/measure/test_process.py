from __future__ import annotations

import sys

import pytest

from limbeck.errors import CheckFailed
from limbeck.measure.process import run_process


def test_the_memory_is_that_of_the_process_and_not_of_this_one() -> None:
    small = run_process([sys.executable, "-S", "-c", "print('never seen')"])
    large = run_process([sys.executable, "-S", "-c", "b = bytearray(300_000_000)"])
    assert small.peak_bytes < 60_000_000
    assert large.peak_bytes > 300_000_000
    assert small.seconds > 0


def test_a_command_that_fails_is_said() -> None:
    with pytest.raises(CheckFailed, match="ended with status 3"):
        run_process([sys.executable, "-c", "raise SystemExit(3)"])
