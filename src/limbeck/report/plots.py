"""The report's plots of variants, training and data. Each takes numbers and returns SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from limbeck.report.facts import Entry
from limbeck.report.html import Html
from limbeck.report.svg import BAD, FG, FIRST, GROUND, MUTED, SECOND, draw, tick

WIDTH_PT, HEIGHT_PT = 360, 240
# Where a point's label may stand, in points from it.
_PLACES = (
    (8, 0),
    (8, 9),
    (8, -9),
    (0, 11),
    (0, -11),
    (-8, 0),
    (-8, 9),
    (-8, -9),
    (8, 18),
    (8, -18),
    (-8, 18),
    (-8, -18),
)


def variants_plot(found: Sequence[Entry], metric: str) -> Html:
    """Speed against metric; the chosen variant filled in another colour, refused ones hollow."""
    certificates = [e.certificate for e in found]
    reference = certificates[0].reference
    budget = reference - certificates[0].max_drop_points / 100
    lows = [c.reference - c.drop_high_points / 100 for c in certificates]
    highs = [c.reference - c.drop_low_points / 100 for c in certificates]
    bottom, top = min([*lows, budget]), max([*highs, reference])
    room = max(0.15 * (top - bottom), 0.003)

    def paint(ax: Axes) -> None:
        ax.set_xlim(0, 1.45 * max(c.speed.rows_per_second for c in certificates))
        ax.set_ylim(bottom - room, top + room)
        ax.axhspan(bottom - room, budget, color=BAD, alpha=0.08, linewidth=0)
        ax.axhline(reference, color=MUTED, linestyle="--", linewidth=1)
        ax.annotate("fp32 PyTorch", (0, reference), (3, 4), textcoords="offset points", color=MUTED, size=8)
        ax.annotate("over the budget", (0, budget), (3, -10), textcoords="offset points", color=BAD, size=8)
        for entry, low, high in zip(found, lows, highs, strict=True):
            c = entry.certificate
            colour = SECOND if entry.chosen else FIRST if c.holds else MUTED
            x = c.speed.rows_per_second
            ax.plot([x, x], [low, high], color=colour, linewidth=1.2, alpha=0.8)
            face = colour if c.holds else GROUND
            size = 9 if entry.chosen else 7
            ax.plot(x, c.value, "o", color=colour, markerfacecolor=face, markeredgewidth=1.4, markersize=size)
        _name_points(ax, found, lines=(reference, budget), bars=list(zip(lows, highs, strict=True)))
        ax.set_xlabel("rows a second")
        ax.set_ylabel(metric)

    return draw("variants", f"Speed against {metric} of each variant", paint, width_pt=WIDTH_PT, height_pt=250)


def _name_points(
    ax: Axes, found: Sequence[Entry], *, lines: Sequence[float], bars: Sequence[tuple[float, float]]
) -> None:
    """A label beside each point: where it covers no other one, no level line and no bar, if there is such a place."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    scale = np.array([290 / (right - left), 190 / (top - bottom)])  # about how many points a unit is
    spots = [np.array([e.certificate.speed.rows_per_second, e.certificate.value]) * scale for e in found]
    taken: list[tuple[float, float, float, float]] = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    taken += [(0.0, y * scale[1] - 1, 290.0, y * scale[1] + 1) for y in lines]
    taken += [(x - 1, low * scale[1], x + 1, high * scale[1]) for (x, _), (low, high) in zip(spots, bars, strict=True)]
    taken.append((290.0, -1e4, 1e4, 1e4))  # beyond the right edge
    for entry, (x, y) in zip(found, spots, strict=True):
        name = f"{entry.number} {entry.certificate.variant}" if len(found) <= 4 else str(entry.number)
        width = 6.0 * len(name)
        boxes = []
        for dx, dy in _PLACES:
            x0 = x + dx - (0 if dx > 0 else width if dx < 0 else width / 2)
            boxes.append((x0, y + dy - 5, x0 + width, y + dy + 5))
        covered = [sum(_common_area(box, other) for other in taken) for box in boxes]
        best = int(np.argmin(covered))
        dx, dy = _PLACES[best]
        taken.append(boxes[best])
        ax.annotate(
            name,
            (entry.certificate.speed.rows_per_second, entry.certificate.value),
            (dx, dy),
            textcoords="offset points",
            ha="left" if dx > 0 else "right" if dx < 0 else "center",
            va="center",
            color=FG if entry.certificate.holds else MUTED,
            weight="bold" if entry.chosen else "normal",
        )


def _common_area(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def loss_plot(epochs: Sequence[float], losses: Sequence[float]) -> Html:
    """The training loss over epochs."""

    def paint(ax: Axes) -> None:
        ax.plot(epochs, losses, "o-", color=FIRST, markersize=4)
        _epoch_axis(ax, epochs)
        ax.set_ylim(bottom=0)
        ax.set_ylabel("training loss")

    return draw("loss", "Training loss over epochs", paint, width_pt=WIDTH_PT, height_pt=200)


def score_plot(epochs: Sequence[float], scores: Sequence[float], best: int, metric: str) -> Html:
    """The dev metric over epochs, its best (an index) marked."""

    def paint(ax: Axes) -> None:
        ax.plot(epochs, scores, "o-", color=FIRST, markersize=4)
        ax.plot(epochs[best], scores[best], "o", color=SECOND, markersize=9)
        ax.annotate(
            f"best {scores[best]:.4f}",
            (epochs[best], scores[best]),
            (0, 8),
            textcoords="offset points",
            ha="right" if best and best == len(epochs) - 1 else "center",
            color=FG,
        )
        _epoch_axis(ax, epochs)
        ax.margins(y=0.2)
        ax.set_ylabel(f"dev {metric}")

    return draw("score", f"Dev {metric} over epochs", paint, width_pt=WIDTH_PT, height_pt=200)


def _epoch_axis(ax: Axes, epochs: Sequence[float]) -> None:
    ax.set_xlim(0, 1.08 * max(epochs))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=max(epochs) >= 2))
    ax.set_xlabel("epoch")


def lengths_plot(edges: Sequence[int], counts: Sequence[int], max_tokens: int) -> Html:
    """Rows by token count, with the most tokens that the model reads."""
    first, last = float(edges[0]), float(edges[-1])
    first, last = (first - 0.5, last + 0.5) if first == last else (first, last)
    # The stored edges are rounded; the bins were of one width.
    borders = np.linspace(first, last, len(counts) + 1)

    def paint(ax: Axes) -> None:
        ax.bar(borders[:-1], counts, width=np.diff(borders), align="edge", color=FIRST, linewidth=0.5)
        ax.axvline(max_tokens, color=SECOND, linestyle="--")
        ax.annotate(
            f"max_tokens {max_tokens}",
            (max_tokens, 1),
            (-4, -3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right",
            va="top",
            color=SECOND,
        )
        ax.set_xlim(0, 1.06 * max(max_tokens, last))
        ax.grid(axis="x", visible=False)
        ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        ax.set_xlabel("tokens a text")
        ax.set_ylabel("training rows")

    return draw("lengths", "Training rows by length in tokens", paint, width_pt=WIDTH_PT, height_pt=HEIGHT_PT)


def counts_plot(counts: Mapping[str, int]) -> Html:
    """Rows of each label as bars, in the order given."""
    names = [tick(label) for label in counts]
    places = np.arange(len(names))[::-1]

    def paint(ax: Axes) -> None:
        bars = ax.barh(places, list(counts.values()), color=FIRST, height=0.75, linewidth=0)
        ax.bar_label(bars, [f"{n:,}" for n in counts.values()], padding=3, size=8, color=MUTED)
        ax.set_yticks(places, names, color=FG)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(-0.6, len(names) - 0.4)
        ax.margins(x=0.15)
        ax.grid(axis="y", visible=False)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        ax.set_xlabel("training rows")

    return draw("counts", "Training rows of each label", paint, width_pt=WIDTH_PT, height_pt=50 + 15 * len(names))
