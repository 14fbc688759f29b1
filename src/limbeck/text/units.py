"""What a tagger labels: the words of a text, found in the pieces that a tokenizer makes of it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# For a character class: the characters of scripts without spaces between words.
UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# A run of letters and digits, or one other sign; of scripts without spaces between words, one character.
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]")
_GOES_ON = re.compile(rf"[^\W{UNSPACED}]")
_JOINERS = "\u200c\u200d"

Spans = NDArray[np.int32]
"""Where each unit begins and ends in its text, `[units, 2]`, in characters, the end exclusive."""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The units of one sequence of tokens.

    `positions` `[n]` are the places of their first pieces in the sequence, `numbers` `[n]` their numbers in the text,
    and `spans` `[units, 2]` where each unit of the whole text stands, those outside of this window too.
    """

    positions: NDArray[np.int32]
    numbers: NDArray[np.int32]
    spans: Spans


def words(text: str) -> Spans:
    """Where the words of a text stand, whatever tokenizer reads it: `U.S.` is four.

    Accents and vowel signs that are characters of their own belong to their word.
    """
    found = [match.span() for match in _WORD.finditer(text)]
    return np.array(found if text.isascii() else _with_marks(text, found), dtype=np.int32).reshape(-1, 2)


def _with_marks(text: str, found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Words with the marks that `re` takes for signs, and with what goes on behind a mark."""
    whole: list[tuple[int, int]] = []
    after_mark = False
    for start, end in found:
        mark = unicodedata.category(text[start])[0] == "M" or text[start] in _JOINERS
        goes_on = mark or (after_mark and _GOES_ON.match(text, start) is not None)
        if goes_on and whole and whole[-1][1] == start:
            whole[-1] = (whole[-1][0], end)
        else:
            whole.append((start, end))
        after_mark = mark
    return whole


def units_of(text: str, offsets: Spans) -> tuple[Spans, NDArray[np.int32]]:
    """The units of a text and the index of each unit's first piece, from where its pieces stand, `[pieces, 2]`.

    A unit is a word. Where one piece covers several words they are one unit; a word without a piece (the tokenizer
    dropped it) is none.
    """
    found = words(text)
    starts, ends = offsets[:, 0], offsets[:, 1]
    word = np.searchsorted(found[:, 1], starts, side="right")  # the first word that ends after the piece begins
    inside = np.flatnonzero(word < len(found))
    inside = inside[(found[word[inside], 0] < ends[inside]) & (starts[inside] < ends[inside])]
    if not len(inside):
        return np.empty((0, 2), np.int32), np.empty(0, np.int32)
    first = np.flatnonzero(np.diff(word[inside], prepend=-1))
    begun = word[inside][first]
    covered = np.maximum.reduceat(ends[inside], first)
    spans = np.stack([found[begun, 0], np.maximum(found[begun, 1], covered)], axis=1)
    return spans.astype(np.int32), inside[first].astype(np.int32)
