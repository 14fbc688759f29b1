from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.carve import carve, quotas, strata, text_key

LABELLED = st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abc")), min_size=2, max_size=120)


def keys(numbers: list[int]) -> list[bytes]:
    return [text_key(f"text {number}", None) for number in numbers]


def test_texts_that_differ_in_case_and_space_only_share_a_key() -> None:
    assert text_key("A  fine\tFilm ", None) == text_key("a fine film", None)
    assert text_key("a", "b") != text_key("b", "a")
    assert text_key("a b", None) != text_key("a", "b")
    assert text_key("a b", "c") != text_key("a", "b c")


@given(LABELLED, st.integers(1, 40))
def test_equal_texts_stay_together_and_no_label_is_held_out_altogether(
    rows: list[tuple[int, str]], wanted: int
) -> None:
    numbers, labels = [number for number, _ in rows], [label for _, label in rows]
    held = carve(keys(numbers), labels, wanted)
    assert not {numbers[i] for i in held} & {n for i, n in enumerate(numbers) if i not in held}
    first: dict[int, str] = {}
    for number, label in rows:
        first.setdefault(number, label)
    left = {first[n] for i, n in enumerate(numbers) if i not in held}
    assert left == set(first.values())


@given(st.permutations(range(60)), st.integers(1, 30))
def test_the_order_of_rows_does_not_matter(order: list[int], wanted: int) -> None:
    def held(numbers: list[int]) -> set[int]:
        return {numbers[i] for i in carve(keys(numbers), ["ab"[n % 2] for n in numbers], wanted)}

    assert held(order) == held(sorted(order))


@given(st.integers(100, 300), st.integers(1, 10))
def test_added_rows_move_few_others(count: int, added: int) -> None:
    def held(size: int) -> set[int]:
        return carve(keys(list(range(size))), ["abc"[n % 3] for n in range(size)], round(size / 10))

    before, after = held(count), {position for position in held(count + added) if position < count}
    # An added row takes at most the place of another; each of the three strata may round another way.
    assert len(before ^ after) <= 2 * added + 3


def test_each_label_has_its_share() -> None:
    labels = ["common"] * 800 + ["rare"] * 200
    held = carve(keys(list(range(1000))), labels, 100)
    assert Counter(labels[i] for i in held) == {"common": 80, "rare": 20}


def test_a_label_with_a_single_text_is_left() -> None:
    held = carve(keys([0, 0, 0, *range(1, 30)]), ["once"] * 3 + ["often"] * 29, 10)
    assert len(held) == 10
    assert not held & {0, 1, 2}


def test_a_text_that_occurs_again_and_again_does_not_judge() -> None:
    numbers = [*range(400), *(1000 + n % 4 for n in range(600))]
    held = carve(keys(numbers), ["all"] * 1000, 100)
    assert len(held) == 100
    assert all(numbers[i] < 1000 for i in held)
    few = carve(keys([n // 10 for n in range(40)]), ["all"] * 40, 4)  # all are of ten rows
    assert len(few) == 10


def test_quotas_add_up() -> None:
    assert quotas({"a": 5, "b": 5, "c": 5}, 4) == {"a": 2, "b": 1, "c": 1}
    assert quotas({}, 4) == {}


def test_strata() -> None:
    assert strata(["a", "b"], "classify") == ["a", "b"]
    assert strata([("a", "b"), ("a",), ()], "multilabel") == ["b", "a", ""]
    tenths = Counter(strata([i / 10 for i in range(100)], "regress"))
    assert len(tenths) == 10
    assert set(tenths.values()) == {10}
