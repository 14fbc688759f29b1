"""Tags of words: O, B-x (an x begins here), I-x (it goes on). Decoding that never gives an illegal sequence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Tags = NDArray[np.int16]
"""Tag indices `[rows, units]`, ABSENT after a row's last unit. 0 is O, 1 + 2k is B and 2 + 2k is I of label k."""

ABSENT = -1
OUTSIDE = 0


def tag_names(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The tags over `labels` by index: `O`, `B-PER`, `I-PER`, …"""
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def may_follow(labels: int) -> NDArray[np.bool_]:
    """Whether a tag (second axis) may stand after another (first axis), `[tags, tags]`: I only after its own B or I."""
    count = 1 + 2 * labels
    allowed = np.ones((count, count), dtype=np.bool_)
    for label in range(labels):
        begin, inside = 1 + 2 * label, 2 + 2 * label
        allowed[:, inside] = False
        allowed[[begin, inside], inside] = True
    return allowed


def best_tags(logits: NDArray[np.float32]) -> Tags:
    """The likeliest legal tags of each row from logits `[rows, units, tags]`, -inf where a row has no unit any more.

    Viterbi's algorithm over allowed transitions, for all rows at once.
    """
    rows, units, tags = logits.shape
    result = np.full((rows, units), ABSENT, dtype=np.int16)
    if not units or not rows:
        return result
    present = logits[:, :, 0] > -np.inf
    scores = np.where(present[:, :, None], logits, 0).astype(np.float64)
    barred = np.where(may_follow((tags - 1) // 2), 0.0, -np.inf)
    # Before the first unit stands an O, after which no I may come.
    best = scores[:, 0] + barred[OUTSIDE]
    came_from = np.zeros((units, rows, tags), dtype=np.int16)
    for unit in range(1, units):
        through = best[:, :, None] + barred
        came_from[unit] = through.argmax(axis=1)
        # Where there is no unit the path stays with the tag it has.
        going_on = through.max(axis=1) + scores[:, unit]
        came_from[unit] = np.where(present[:, unit, None], came_from[unit], np.arange(tags))
        best = np.where(present[:, unit, None], going_on, best)
    tag = best.argmax(axis=1)
    for unit in range(units - 1, -1, -1):
        result[:, unit] = np.where(present[:, unit], tag, ABSENT)
        tag = came_from[unit][np.arange(rows), tag]
    return result


def entities_of(tags: NDArray[np.int16]) -> list[tuple[int, int, int]]:
    """The entities of one row of legal tags: first unit, last unit, label index."""
    found: list[tuple[int, int, int]] = []
    for unit, tag in enumerate(tags.tolist()):
        if tag <= OUTSIDE:
            continue
        label, inside = divmod(tag - 1, 2)
        if inside:
            found[-1] = (found[-1][0], unit, label)
        else:
            found.append((unit, unit, label))
    return found


def tags_of(
    entities: tuple[tuple[int, int, str], ...], spans: NDArray[np.int32], labels: tuple[str, ...]
) -> NDArray[np.int16]:
    """The tags of units at `spans` `[units, 2]` under entities given as character spans with labels.

    An entity takes all units that it touches; one that touches none has no tags.
    """
    tags = np.zeros(len(spans), dtype=np.int16)
    for start, end, label in entities:
        first = int(np.searchsorted(spans[:, 1], start, side="right"))
        last = int(np.searchsorted(spans[:, 0], end, side="left"))
        if first < last:
            begin = 1 + 2 * labels.index(label)
            tags[first] = begin
            tags[first + 1 : last] = begin + 1
    return tags
