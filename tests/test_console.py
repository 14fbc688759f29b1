from __future__ import annotations

import sys

import pytest

from limbeck import console
from limbeck.console import progress_bar


def test_a_log_gets_a_line_a_minute(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with progress_bar("steps", 600) as update:
        for second in range(30, 181, 10):  # it began late, resumed at 300
            now[0] = second
            update(270 + second, "loss 0.4")
    assert capsys.readouterr().err.splitlines() == [
        "  steps 330 of 600: loss 0.4, 4 min 30 s left",
        "  steps 390 of 600: loss 0.4, 3 min 30 s left",
        "  steps 450 of 600: loss 0.4, 2 min 30 s left",
    ]


def test_a_log_of_what_has_no_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console, "SECONDS_A_LINE", 0.0)
    with progress_bar("rows", None) as update:
        update(7, "70 rows/s")
        update(8, "")
    assert capsys.readouterr().err == "  rows 7: 70 rows/s\n  rows 8\n"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("steps", 600) as update:
        update(300, "loss 0.4")
    assert "300/600" in capsys.readouterr().err
