"""Answers as spans: the best of all spans of a context, and how the SQuAD rules judge their texts."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

N_BEST = 20
_CHUNK = 250_000  # values looked at in one go: what a cache holds
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The best spans of each row, best first: their scores and their first and last units, all `[rows, N_BEST]`.

    A score is the log-odds against no answer; it is -inf where a row has no more spans.
    """

    scores: NDArray[np.float32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def best_spans(logits: NDArray[np.float32], *, longest: int, most: int = N_BEST) -> Candidates:
    """The `most` best spans of at most `longest` units, from logits `[rows, units, 2]` of their starts and ends.

    A span's score is the sum of both logits less those of unit 0, which stands for no answer (Devlin et al. 2019);
    -inf marks units that a row has not.
    """
    rows = len(logits)
    found = Candidates(
        np.full((rows, most), -np.inf, np.float32), np.zeros((rows, most), np.int64), np.zeros((rows, most), np.int64)
    )
    units = np.isfinite(logits[:, 1:, 0]).sum(axis=1)
    order = np.argsort(units, kind="stable")[np.count_nonzero(units == 0) :]
    while len(order):  # the longest contexts first, with others that are nearly as long
        width = int(units[order[-1]])
        step = max(1, _CHUNK // width)
        chunk, order = order[-step:], order[:-step]
        start, end = (logits[chunk, 1 : 1 + width, side] - logits[chunk, :1, side] for side in (0, 1))
        scores, first, last = _best_of(start, end, min(longest, width), most)
        there = np.isfinite(scores)
        found.scores[chunk], found.first[chunk], found.last[chunk] = scores, (1 + first) * there, (1 + last) * there
    return found


def _best_of(
    start: NDArray[np.float32], end: NDArray[np.float32], longest: int, most: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Scores, first and last units of the best spans, exactly: each begins at one of the `most` best starts.

    How good a start is says the best span that begins there. Were a span among the best and its start not, then `most`
    other starts had a better span each.
    """
    rows = len(start)
    known, firsts = _largest(start + _largest_ahead(end, longest), most)
    row = np.arange(rows)[:, None]
    starts = np.where(np.isfinite(known), start[row, firsts], -np.inf)
    ends = np.concatenate([end, np.full((rows, longest - 1), -np.inf, np.float32)], axis=1)
    ahead = sliding_window_view(ends, longest, axis=1)[row, firsts]
    scores, best = _largest((starts[..., None] + ahead).reshape(rows, -1), most)
    place, length = np.divmod(best, longest)
    first = firsts[row, place]
    return scores, first, first + length


def _largest_ahead(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The largest of each value and the `width - 1` after it, `[rows, units]`, by doubling what is looked at."""
    found, seen = values.copy(), 1
    while seen < width:
        step = min(seen, width - seen)
        np.maximum(found[:, :-step], found[:, step:], out=found[:, :-step])
        seen += step
    return found


def _largest(values: NDArray[np.float32], most: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The largest values of each row and their places, largest first; -inf where a row has no more.

    They are taken out of `values` one after the other: for a few of each row that is faster than `argpartition`.
    """
    row = np.arange(len(values))
    found, places = np.empty((len(values), most), np.float32), np.empty((len(values), most), np.int64)
    for rank in range(most):
        places[:, rank] = place = np.argmax(values, axis=1)
        found[:, rank] = values[row, place]
        values[row, place] = -np.inf
    return found, places


def units_touched(spans: NDArray[np.int32], start: int, end: int) -> tuple[int, int] | None:
    """The first and the last of the units at `spans` `[units, 2]` that characters `start` to `end` touch, if any.

    Unit 0 stands for no answer and touches nothing.
    """
    first = 1 + int(np.searchsorted(spans[1:, 1], start, side="right"))
    last = int(np.searchsorted(spans[1:, 0], end, side="left"))
    return (first, last) if first <= last else None


def normalise(text: str) -> str:
    """A text as the SQuAD rules compare it: lower case, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(answer: str, wanted: str) -> float:
    """F1 over the words of two normalised texts; where one is empty, whether both are."""
    given, gold = answer.split(), wanted.split()
    if not given or not gold:
        return float(given == gold)
    common = sum((Counter(given) & Counter(gold)).values())
    return 2 * common / (len(given) + len(gold))


def judge(answer: str, wanted: Sequence[str]) -> tuple[float, float]:
    """The best F1 and exact match of an answer against the normalised texts wanted; no text wants no answer."""
    given = normalise(answer)
    golds = wanted or ("",)
    return max(token_f1(given, gold) for gold in golds), float(given in golds)
