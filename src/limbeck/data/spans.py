"""Entities of a text as character spans: from tags of its words (IOB1, IOB2, BIOES), or from lists of spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from limbeck.data.problems import RowProblem, character_problem
from limbeck.tasks import Span

NOTHING = ("O", "", "_")
# BIOES, and the same with the letters of BILOU.
BEGINS, SINGLE, INSIDE, ENDS = "B", "SU", "I", "EL"
SCHEMES = ("IOB2", "IOB1", "BIOES")
LABEL_KEYS = ("label", "type", "tag", "entity", "entity_group")


@dataclass(frozen=True, slots=True)
class Entities:
    """A raw label: the entities of a text, and the scheme of the tags that they were read from, if any."""

    spans: tuple[Span, ...]
    scheme: str = ""


def join_words(words: Sequence[object], column: str) -> tuple[str, list[tuple[int, int]]]:
    """Words as one text with single spaces, and where each word stands in it.

    Raises:
        RowProblem: there is no word, or one is no text.
    """
    if not words:
        raise RowProblem(f"{column!r} holds no word")
    spans: list[tuple[int, int]] = []
    start = 0
    for number, word in enumerate(words, start=1):
        if not isinstance(word, str) or not word.strip():
            raise RowProblem(f"word {number} in {column!r} is {word!r}, expected a text")
        if problem := character_problem(word):
            raise RowProblem(f"word {number} in {column!r}: {problem}")
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return " ".join(map(str, words)), spans


def from_tags(tags: Sequence[object], words: Sequence[tuple[int, int]]) -> Entities:
    """The entities that tags of words spell, whatever the scheme.

    A chunk goes on while tags of its own type go on; B and S begin one, E and S end it. So an I after an O, or after
    another type, begins one too, which is what IOB1 means by it.

    Raises:
        RowProblem: there is not one tag a word, or one is no tag.
    """
    if len(tags) != len(words):
        raise RowProblem(f"{len(words)} words have {len(tags)} tags, expected one a word")
    found: list[Span] = []
    scheme = ""
    open_type: str | None = None
    for tag, (start, end) in zip(tags, words, strict=True):
        prefix, label = _split_tag(tag)
        if not label:
            open_type = None
            continue
        begins = prefix in BEGINS + SINGLE or open_type != label
        scheme = _scheme(scheme, prefix, begins)
        if begins:
            found.append((start, end, label))
        else:
            found[-1] = (found[-1][0], end, label)
        open_type = None if prefix in SINGLE + ENDS else label
    return Entities(tuple(found), scheme)


def _split_tag(tag: object) -> tuple[str, str]:
    """`B-PER` as B and PER; O as two empty strings."""
    if not isinstance(tag, str):
        raise RowProblem(f"the tag {tag!r} is not a text such as O, B-PER or I-PER")
    name = tag.strip()
    if name in NOTHING:
        return "", ""
    prefix, dash, label = name.partition("-")
    if not dash or not label or prefix.upper() not in tuple(BEGINS + SINGLE + INSIDE + ENDS):
        raise RowProblem(f"the tag {tag!r} is neither O nor a label after B-, I-, E-, S- (or L-, U-)")
    return prefix.upper(), label


def _scheme(known: str, prefix: str, begins: bool) -> str:
    if prefix in SINGLE + ENDS:
        now = "BIOES"
    elif prefix == INSIDE and begins:
        now = "IOB1"
    else:
        now = "IOB2"
    return max(known, now, key=lambda name: SCHEMES.index(name) if name else -1)


def from_spans(values: Sequence[object], text: str) -> Entities:
    """The entities of a list of `{"start", "end", "label"}` or `[start, end, label]`, in characters of `text`.

    Raises:
        RowProblem: an item is no span, reaches beyond the text, holds white space alone, or overlaps another.
    """
    found = sorted(_span(value, text) for value in values)
    for (_, end, label), (start, _, other) in pairwise(found):
        if start < end:
            raise RowProblem(f"the entities {label!r} up to {end} and {other!r} from {start} overlap")
    return Entities(tuple(found))


def _span(value: object, text: str) -> Span:
    if isinstance(value, Mapping):
        label = next((value[key] for key in LABEL_KEYS if isinstance(value.get(key), str)), None)
        parts: tuple[object, ...] = (value.get("start"), value.get("end"), label)
    elif isinstance(value, list | tuple) and len(value) == 3:
        parts = tuple(value)
    else:
        parts = ()
    whole = [_whole(part) for part in parts[:2]]
    if len(parts) < 3 or None in whole or not isinstance(parts[2], str) or not parts[2].strip():
        raise RowProblem(f"the entity {value!r} is neither {{start, end, label}} nor [start, end, label]")
    start, end = whole
    if start is None or end is None or not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise RowProblem(f"the entity {value!r} is no span of the text's {len(text)} characters")
    return start, end, parts[2].strip()


def _whole(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def is_spans(values: Sequence[object]) -> bool:
    """Whether a list holds spans, and not names."""
    return bool(values) and all(isinstance(value, Mapping | list | tuple) for value in values)
