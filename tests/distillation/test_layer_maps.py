from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.distillation.layer_maps import (
    USUAL,
    LayerMap,
    last,
    layer_map_lines,
    middle,
    middles,
    parse_layer_map,
    skip,
    uniform,
)
from limbeck.errors import UsageError


@pytest.mark.parametrize(
    ("student", "teacher", "wanted"),
    [(4, 12, (2, 5, 8, 11)), (6, 12, (1, 3, 5, 7, 9, 11)), (3, 6, (1, 3, 5)), (2, 5, (2, 4)), (4, 6, (1, 2, 4, 5))],
)
def test_uniform(student: int, teacher: int, wanted: tuple[int, ...]) -> None:
    assert uniform(student, teacher) == tuple(enumerate(wanted))


@pytest.mark.parametrize(
    ("student", "teacher", "wanted"),
    [
        (6, 12, (0, 2, 4, 6, 8, 10)),
        (4, 12, (1, 4, 7, 10)),
        (3, 6, (0, 2, 4)),
        (4, 6, (0, 2, 3, 5)),
        (2, 6, (1, 4)),
        (1, 6, (2,)),
        (2, 2, (0, 1)),
    ],
)
def test_the_middle_of_each_share(student: int, teacher: int, wanted: tuple[int, ...]) -> None:
    assert middles(student, teacher) == wanted
    assert middle(student, teacher) == tuple(enumerate(wanted))


def test_last_and_skip() -> None:
    assert last(3, 12) == ((0, 9), (1, 10), (2, 11))
    # PKD-Skip: a student of 6 learns from BERT's layers 2, 4, 6, 8 and 10, counted from 1.
    assert skip(6, 12) == ((0, 1), (1, 3), (2, 5), (3, 7), (4, 9))


@given(st.integers(1, 24), st.integers(0, 24))
def test_every_layer_learns_from_a_later_one_than_the_layer_below(student: int, more: int) -> None:
    teacher = student + more
    begun = middles(student, teacher)
    assert list(begun) == sorted(set(begun))
    assert len(begun) == student
    assert 0 <= begun[0] <= begun[-1] < teacher
    for made in (uniform(student, teacher), last(student, teacher)):
        teachers = [t for _, t in made]
        assert [s for s, _ in made] == list(range(student))
        assert teachers == sorted(set(teachers))
        assert teachers[-1] == teacher - 1
        assert teachers[0] >= 0


def parse(text: str) -> LayerMap:
    return parse_layer_map(text, student_layers=3, teacher_layers=6)


def test_by_name_and_by_hand() -> None:
    assert parse("uniform") == uniform(3, 6)
    assert parse(USUAL) == middle(3, 6)
    assert parse("2:5, 0:0") == ((0, 0), (2, 5))
    assert list(layer_map_lines(parse("2:5,0:0"), student_layers=3)) == [
        "layer of the student   learns from layer of the teacher",
        "0                      0",
        "1                      –",
        "2                      5",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("every", "expected middle, uniform, last, skip, or pairs"),
        ("0-1", "expected middle, uniform, last, skip, or pairs"),
        ("3:6,0:1,0:2", r"no layer 3 \(0 to 2\); the teacher has no layer 6 \(0 to 5\); layer 0 of the student occurs"),
    ],
)
def test_bad_maps(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text)


def test_skip_needs_two_layers() -> None:
    with pytest.raises(UsageError, match="leaves a student of one layer nothing"):
        parse_layer_map("skip", student_layers=1, teacher_layers=6)
