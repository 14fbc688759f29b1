from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes

from limbeck.report.plots import counts_plot, lengths_plot, loss_plot, score_plot
from limbeck.report.quality_plots import residuals_plot
from limbeck.report.svg import FG, FIRST, draw, tick


def test_colours_are_the_pages_and_no_style_or_address_is_left() -> None:
    def paint(ax: Axes) -> None:
        ax.plot([0, 1], [0, 1], color=FIRST)
        ax.text(0.5, 0.5, "<b> $x$ 0.123456", color=FG)

    svg = draw("one", 'a "title"', paint)
    assert "var(--c1)" in svg
    assert "var(--fg)" in svg
    assert "#" not in svg.replace('"#one-', "").replace("url(#one-", "")
    assert "http" not in svg
    assert "<style" not in svg
    assert 'aria-label="a &quot;title&quot;"' in svg
    assert "&lt;b&gt; $x$ 0.123456" in svg  # neither markup nor mathematics nor rounded
    assert svg.count("<svg") == svg.count("</svg>") == 1


def test_settings_of_the_user_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = loss_plot([1.0, 2.0], [0.5, 0.4])
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9)
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)
    assert loss_plot([1.0, 2.0], [0.5, 0.4]) == before
    assert matplotlib.rcParams["lines.linewidth"] == 9


@pytest.mark.parametrize("label", ["文字", "😀 emoji", "عربي", "$\\frac{1}{2}$", "", "a\nb\tc", "x" * 500])
def test_any_label_can_be_drawn(label: str) -> None:
    assert counts_plot({label: 3, "other": 0}).endswith("</svg>")


def test_a_label_is_cut_to_its_place() -> None:
    assert tick("x" * 50, 10) == "x" * 9 + "…"
    assert tick("a\n\x00 b") == "a b"


def test_one_of_everything_can_be_drawn(recwarn: pytest.WarningsRecorder) -> None:
    assert score_plot([1.0], [0.5], 0, "accuracy").endswith("</svg>")
    assert lengths_plot([7, 7], [20], 32).endswith("</svg>")
    assert residuals_plot(np.zeros(3)).endswith("</svg>")
    assert not recwarn.list
