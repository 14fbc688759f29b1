"""Matplotlib's SVG, made fit to stand inside a page: no fixed colours, no foreign fonts, the same bytes every time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limbeck.report.html import Html, esc, shortened

# Drawn in these, which no plot uses otherwise, and then replaced by the page's variables: one drawing, two palettes.
FG, MUTED, LINE, FIRST, SECOND, GOOD, BAD, GROUND = (f"#{n:02x}{n:02x}{n:02x}" for n in range(1, 9))
_VARIABLES = dict(
    zip(
        (FG, MUTED, LINE, FIRST, SECOND, GOOD, BAD, GROUND),
        ("fg", "muted", "line", "c1", "c2", "good", "bad", "bg"),
        strict=True,
    )
)
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that the layout is the same everywhere
    "font.size": 10.5,
    "text.parse_math": False,  # labels are the user's: `$` is a dollar
    "text.color": FG,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 1.6,
    "lines.markersize": 6,
    "legend.frameon": False,
    "patch.edgecolor": GROUND,
    "hatch.color": LINE,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def draw(
    name: str, title: str, paint: Callable[[Axes], None], *, width_pt: float = 360, height_pt: float = 240
) -> Html:
    """What `paint` draws, as SVG of the given size; `name` is unique in a page, `title` is read to who cannot see."""
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE, "svg.hashsalt": name}):
        made = Figure(figsize=(width_pt / 72, height_pt / 72), layout="constrained")
        made.patch.set_visible(False)
        axes = made.add_subplot()
        axes.patch.set_visible(False)
        file = io.StringIO()
        with warnings.catch_warnings():
            # A character that the font lacks is drawn by the browser's.
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            paint(axes)
            made.savefig(file, format="svg", metadata=_NO_METADATA)
    return _inline(file.getvalue(), name, title)


def tick(label: str, limit: int = 24) -> str:
    """A label of the user's as it fits beside an axis."""
    return shortened("".join(c if c.isprintable() else " " for c in label), limit)


def _inline(svg: str, name: str, title: str) -> Html:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    head, body = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    label = f'role="img" aria-label="{esc(title)}"'
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body)
    body = body.replace("url(#", f"url(#{name}-")
    body = body.replace("'DejaVu Sans'", "system-ui, sans-serif")
    for sentinel, variable in _VARIABLES.items():
        body = body.replace(sentinel, f"var(--{variable})")
    # Hundredths of a point are enough in a path; what stands in a text element is left alone.
    body = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), body)
    body = re.sub(r"\n\s*", "\n", body)
    return Html(f"<svg {box[0] if box else ''} {label}>{body.strip()}")
