from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from limbeck.tables import print_table

HEAD = ("variant", "accuracy", "drop, points [95 %]", "empty", "")
ROWS = [
    ("onnx-int8\n(a scale per channel)", "0.8868", "-0.40 [-1.00, +0.30]", "", "holds"),
    ("onnx-fp32", "0.8828", "+0.00 [+0.00, +0.00]", "", "REFUSED"),
]
CELLS = ("(a scale per channel)", "onnx-fp32", "0.8868", "0.8828", "[-1.00, +0.30]", "[+0.00, +0.00]", "REFUSED")

Row = tuple[str, ...]
Printed = Callable[..., list[str]]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Printed:
    """The lines of the table on a terminal so wide, or in a file."""

    def lines(width: int, *, terminal: bool = True, table: tuple[Row, list[Row]] = (HEAD, ROWS)) -> list[str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "dumb")  # no colours
        print_table(*table)
        return capsys.readouterr().out.splitlines()

    return lines


@pytest.mark.parametrize("width", [200, 77, 74, 72])
def test_nothing_is_lost_at_any_width(printed: Printed, width: int) -> None:
    lines = printed(width)
    assert all(cell in "\n".join(lines) for cell in CELLS)
    assert "empty" not in "\n".join(lines)
    assert max(map(len, lines)) <= width


def test_what_does_not_fit_is_turned(printed: Printed) -> None:
    numbers = ("accuracy", *(str(n) for n in range(9)))
    table = (numbers, [("0.8868", *"abcdefghi"), ("0.8828", *"abcdefghi")])
    (line,) = [line for line in printed(40, table=table) if "accuracy" in line]
    assert [cell.strip() for cell in line.strip("┃").split("┃")] == ["accuracy", "0.8868", "0.8828"]


def test_rows_one_after_another(printed: Printed) -> None:
    assert printed(30)[:5] == [
        "onnx-int8 (a scale per channel)",
        "  accuracy: 0.8868",
        "  drop, points [95 %]: -0.40 [-1.00, +0.30]",
        "  holds",
        "onnx-fp32",
    ]


def test_what_is_empty_in_one_row_is_left_out_there(printed: Printed) -> None:
    table = (("way", "rows/s", "p99 ms"), [("one", "7", "3.1"), ("many", "90", "")])
    assert printed(10, table=table) == ["one", "  rows/s: 7", "  p99 ms: 3.1", "many", "  rows/s: 90"]


def test_a_file_is_as_wide_as_it_needs(printed: Printed) -> None:
    assert any("onnx-fp32" in line and "REFUSED" in line for line in printed(30, terminal=False))
