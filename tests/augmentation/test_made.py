from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from limbeck.augmentation.made import Make, Sides, make_rows
from limbeck.augmentation.sampling import Chance, OnDone
from limbeck.augmentation.words import Marked
from limbeck.data import Dataset, Splits


def dataset(*texts: str, pairs: list[str] | None = None) -> Dataset:
    return Dataset(list(texts), pairs, ["x"] * len(texts), list(range(1, len(texts) + 1)))


def splits(*train: str, pairs: list[str] | None = None) -> Splits:
    other = None if pairs is None else ["other"]
    dev, test = dataset("for dev", pairs=other), dataset("for test", pairs=other)
    return Splits(dataset(*train, pairs=pairs), dev, test, "classify", ("x",), (), "", "")


def by_table(**table: str | None) -> Make:
    """What makes of each text what the table says; underscores stand for spaces."""
    made = {key.replace("_", " "): value for key, value in table.items()}

    def make(texts: Sequence[Marked], chance: Chance, on_done: OnDone) -> list[Marked | None]:
        on_done(len(texts))
        return [None if (new := made[text.text]) is None else Marked(new) for text in texts]

    return make


def numbered(texts: Sequence[Marked], chance: Chance, on_done: OnDone) -> list[Marked | None]:
    """Each text with the number that its chance draws first."""
    return [Marked(f"{text.text} {chance(i).integers(10**9)}") for i, text in enumerate(texts)]


def made_of(
    given: Splits, make: Make, copies: int = 1, sides: Sides = "both", seed: int = 0
) -> list[tuple[str, str | None]]:
    made = make_rows(given, {"swap": make}, copies=copies, sides=sides, seed=seed, progress=lambda _: lambda _: None)
    return [(row.text.text, row.pair) for row in made.rows]


def test_what_is_equal_to_a_row_is_dropped_and_counted() -> None:
    table = by_table(a="new", b="B ", c=" For  DEV", d="for test", e="a", f="NEW", g=None)
    made = make_rows(
        splits(*"abcdefg"), {"delete": table}, copies=1, sides="both", seed=0, progress=lambda _: lambda _: None
    )
    assert [(row.source, row.method, row.text.text) for row in made.rows] == [(0, "delete", "new")]
    counts = made.counts["delete"]
    assert (counts.attempts, counts.made, counts.unchanged, counts.held_out) == (7, 1, 1, 2)
    assert (counts.repeated, counts.nothing_to_change) == (2, 1)


def test_rows_follow_the_order_of_their_sources_and_methods() -> None:
    first, second = by_table(a="a1", b="b1"), by_table(a="a2", b="a1")
    made = make_rows(
        splits("a", "b"),
        {"swap": first, "delete": second},
        copies=2,
        sides="both",
        seed=0,
        progress=lambda _: lambda _: None,
    )
    assert [(row.source, row.method, row.text.text) for row in made.rows] == [
        (0, "swap", "a1"),
        (0, "delete", "a2"),
        (1, "swap", "b1"),
    ]
    assert made.counts["swap"].repeated == 2  # the second copies


@pytest.mark.parametrize(
    ("sides", "wanted"),
    [
        ("both", [("a1", "p1"), ("b", "q1"), ("c1", "r")]),
        ("first", [("a1", "p"), ("c1", "r")]),
        ("second", [("a", "p1"), ("b", "q1")]),
    ],
)
def test_sides_of_a_pair(sides: Sides, wanted: list[tuple[str, str]]) -> None:
    table = by_table(a="a1", b=None, c="c1", p="p1", q="q1", r=None)
    assert made_of(splits("a", "b", "c", pairs=["p", "q", "r"]), table, sides=sides) == wanted


def test_a_pair_with_a_held_out_text_on_one_side_is_new() -> None:
    given = splits("a", "b", pairs=["p", "q"])
    table = by_table(a="for dev", b="for dev", p="other", q="more")
    assert made_of(given, table) == [("for dev", "more")]


def test_chance_is_a_matter_of_seed_row_and_copy() -> None:
    given = splits("a", "b", pairs=["a", "b"])
    two = made_of(given, numbered, copies=2)
    assert len({number for texts in two for number in (str(t).split()[1] for t in texts)}) == 8
    assert made_of(given, numbered, copies=3)[:2] == two[:2]
    assert made_of(given, numbered, copies=3)[3:5] == two[2:]
    assert not {*made_of(given, numbered, copies=2, seed=1)} & {*two}
    assert np.random.default_rng([0, 3, 0, 1, 0]).integers(10**9) == int(two[2][0].split()[1])
