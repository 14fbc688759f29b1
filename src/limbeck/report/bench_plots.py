"""The plots of a benchmark: time against rows, rows a second against the size of a batch, and where the time goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from limbeck.measure.benchmark import Timing
from limbeck.report.html import Html
from limbeck.report.svg import BAD, FG, FIRST, GOOD, LINE, MUTED, SECOND, draw

_COLOURS = (SECOND, FIRST, GOOD, BAD, MUTED, FG)
_PARTS = {"computing": FIRST, "padding": BAD, "tokenising": SECOND, "decoding": GOOD, "waiting": LINE}


def time_plot(name: str, title: str, lines: Mapping[str, Sequence[Timing]], colours: Mapping[str, str]) -> Html:
    """Seconds against rows, both logarithmic, one line a name; the first is drawn strongest."""

    def paint(ax: Axes) -> None:
        for label, timings in lines.items():
            rows, seconds = [t.rows for t in timings], [t.seconds for t in timings]
            strong = label == next(iter(lines))
            ax.plot(
                rows,
                seconds,
                "o-",
                color=colours[label],
                markersize=5 if strong else 3,
                linewidth=2.2 if strong else 1.2,
            )
        ax.legend(list(lines), fontsize=8, loc="upper left")
        ax.set(xscale="log", yscale="log", xlabel="texts", ylabel="seconds")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))

    return draw(name, title, paint)


def batch_plot(found: Mapping[str, Mapping[int, float]], colours: Mapping[str, str]) -> Html:
    """Rows a second against the texts of a batch, one line a variant."""

    def paint(ax: Axes) -> None:
        for variant, rates in found.items():
            ax.plot(list(rates), list(rates.values()), "o-", color=colours[variant], markersize=4, label=variant)
        sizes = sorted({size for rates in found.values() for size in rates})
        ax.set(xscale="log", xlabel="texts in a batch, in file order", ylabel="rows a second")
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
        ax.set_ylim(bottom=0)
        ax.legend(fontsize=8)

    return draw("batches", "Rows a second against the texts in a batch", paint)


def shares_plot(timings: Sequence[Timing]) -> Html:
    """Where the time of each goes, stacked to its seconds for a thousand texts."""
    known = [t for t in timings if t.shares is not None]
    places = np.arange(len(known))[::-1]

    def paint(ax: Axes) -> None:
        left = np.zeros(len(known))
        for part, colour in _PARTS.items():
            widths = np.array([getattr(t.shares, part) * 1000 * t.seconds / t.rows for t in known])
            ax.barh(places, widths, left=left, color=colour, height=0.7, linewidth=0, label=part)
            left += widths
        ax.set_yticks(places, [f"{t.variant}, {t.way}" for t in known], color=FG, size=8.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
        ax.set_xlabel("seconds for 1,000 texts")
        ax.legend(fontsize=8, ncols=len(_PARTS), loc="lower right", bbox_to_anchor=(1, 1), handlelength=1)

    return draw("shares", "Where the time goes", paint, width_pt=560, height_pt=80 + 19 * len(known))


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in their order."""
    return dict(zip(dict.fromkeys(names), cycle(_COLOURS)))
