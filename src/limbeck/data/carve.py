"""Carving held-out rows by the hash of their text: stratified, stable, and never the same text on both sides.

A row's side depends on its own text and on how many rows there are, not on its place in the file: rows that are
added or moved leave nearly all others where they were.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from limbeck.data.labels import UNNAMED, names_of
from limbeck.data.records import Dataset
from limbeck.tasks import Label

REGRESS_STRATA = 10


def text_key(text: str, pair: str | None) -> bytes:
    """A hash `[16 bytes]` that texts share if they differ in case and white space only."""
    whole = text if pair is None else f"{text}\0{pair}"
    parts = (" ".join(part.casefold().split()) for part in whole.split("\0"))
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


def row_keys(rows: Dataset) -> list[bytes]:
    """The key of each row's text, or of its two texts together."""
    pairs: Sequence[str | None] = rows.pairs if rows.pairs is not None else [None] * len(rows)
    return [text_key(text, pair) for text, pair in zip(rows.texts, pairs, strict=True)]


def strata(labels: Sequence[Label], task: str) -> list[str]:
    """The stratum of each row: its label, the rarest of several, or the tenth of all rows that its number is in.

    Pairs and triplets of texts are one stratum, questions with and without an answer two.
    """
    if task == "answer":
        return ["answer" if label else "no answer" for label in labels]
    if task == "embed" and not isinstance(labels[0], float):
        return [""] * len(labels)
    if task in UNNAMED:
        numbers = np.asarray(labels, dtype=np.float64)
        edges = np.quantile(numbers, np.linspace(0, 1, REGRESS_STRATA + 1)[1:-1])
        return [str(bin_) for bin_ in np.searchsorted(edges, numbers, side="right")]
    if task == "classify":
        return [str(label) for label in labels]
    sets = [names_of(label) for label in labels]
    counts = Counter(name for names in sets for name in names)
    return [min(names, key=lambda name: (counts[name], name), default="") for names in sets]


def carve(keys: Sequence[bytes], row_strata: Sequence[str], wanted: int) -> set[int]:
    """The positions of about `wanted` rows to hold out, from each stratum its share.

    Rows of one key stay together, in the stratum of the first of them. A stratum of a single key is left whole,
    so a label is never held out altogether. A key of more rows than the stratum's share is left too, so that a text
    that occurs again and again does not make up what judges; where all are such the one of the fewest is taken.

    Args:
        keys: the key of each row, as `text_key` makes it.
        row_strata: the stratum of each row.
        wanted: how many rows.
    """
    groups: dict[bytes, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    members: dict[str, list[bytes]] = defaultdict(list)
    for key, positions in groups.items():
        members[row_strata[positions[0]]].append(key)
    sizes = {name: sum(len(groups[key]) for key in own) for name, own in members.items() if len(own) > 1}
    held: set[int] = set()
    for name, quota in quotas(sizes, wanted).items():
        taken = 0
        # The last key is never taken: one stays to learn the label from.
        keys_there = sorted(members[name])[:-1]
        small = [key for key in keys_there if len(groups[key]) <= quota]
        for key in small or sorted(keys_there, key=lambda key: len(groups[key]))[:1]:
            if taken >= quota:
                break
            held.update(groups[key])
            taken += len(groups[key])
    return held


def quotas(sizes: Mapping[str, int], wanted: int) -> dict[str, int]:
    """Each stratum's share of `wanted` rows in proportion to its size, by largest remainder."""
    total = sum(sizes.values())
    if not total:
        return {}
    exact = {name: wanted * size / total for name, size in sizes.items()}
    whole = {name: int(share) for name, share in exact.items()}
    left = wanted - sum(whole.values())
    for name in sorted(exact, key=lambda name: (whole[name] - exact[name], name))[:left]:
        whole[name] += 1
    return whole
