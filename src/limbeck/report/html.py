"""HTML that is safe by default: every string is escaped unless it is `Html` already."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is markup, escaped where it had to be."""

    __slots__ = ()


def esc(value: object) -> Html:
    """Any value as markup: `Html` as it is, everything else as escaped text that every encoding can hold."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(plain(str(value))))


def plain(text: str) -> str:
    """Text that every encoding can hold and that stays where it is put."""
    return "".join(c if _shown(c) else "\ufffd" for c in text)


def el(name: str, *children: object, **attributes: object) -> Html:
    """An element; `class_` stands for `class`, an underscore in another name for a hyphen."""
    given = "".join(f' {k.rstrip("_").replace("_", "-")}="{esc(v)}"' for k, v in attributes.items() if v is not None)
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """Markup and text, one after another."""
    return Html("".join(esc(child) for child in children))


def paragraphs(lines: Iterable[object], class_: str | None = None) -> Html:
    """One paragraph a line."""
    return join(el("p", line, class_=class_) for line in lines)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, words: Sequence[int] = (0,)) -> Html:
    """A table in a box of its own that scrolls sideways; columns not in `words` hold numbers."""

    def cells(name: str, values: Sequence[object]) -> Html:
        numbers = (None if i in words else "n" for i in range(len(values)))
        return join(el(name, value, class_=kind) for value, kind in zip(values, numbers, strict=True))

    body = join(el("tr", cells("td", row)) for row in rows)
    return el("div", el("table", el("thead", el("tr", cells("th", head))), el("tbody", body)), class_="scroll")


def facts_table(facts: Iterable[tuple[str, object]]) -> Html:
    """Names and values, one a line."""
    rows = join(el("tr", el("th", name, scope="row"), el("td", value)) for name, value in facts)
    return el("div", el("table", el("tbody", rows), class_="facts"), class_="scroll")


def folded(summary: str, *children: object) -> Html:
    """What only some want to see, behind its summary."""
    return el("details", el("summary", summary), *children)


def figure(svg: Html, caption: object, *, wide: bool = False) -> Html:
    """A drawing with its caption; a wide one scrolls sideways on a narrow screen."""
    box = el("div", svg, class_="scroll") if wide else svg
    return el("figure", box, el("figcaption", caption), class_="wide" if wide else None)


def figures(*drawn: Html) -> Html:
    """Drawings side by side where there is room."""
    return el("div", *drawn, class_="figures")


def user_text(text: str, *, limit: int = 280) -> Html:
    """A text of the user's, shortened, in its own writing direction."""
    return el("span", shortened(text, limit), dir="auto", class_="text")


def user_label(label: str, kind: str = "") -> Html:
    """A label of the user's, or several, as a cell holds it; `kind` is a further class."""
    shown = shortened(label, 120) or "(none)"
    return el("span", shown, dir="auto", class_=f"label {kind}".rstrip())


def shortened(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def _shown(character: str) -> bool:
    """Not so: control characters, and those that would turn the direction of what follows."""
    turns = "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    return character in "\n\t" or not (turns or unicodedata.category(character) in ("Cc", "Cs"))
