from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.text import OnLong, Tokenizer, unit_spans
from limbeck.text.units import units_of, words


def spelled(text: str) -> list[str]:
    return [text[a:b] for a, b in words(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("U.S. troops", ["U", ".", "S", ".", "troops"]),
        ("  don't\tgo ", ["don", "'", "t", "go"]),
        ("Zürich–Genève 2,5", ["Zürich", "–", "Genève", "2", ",", "5"]),
        ("東京とOsaka", ["東", "京", "と", "Osaka"]),
        ("snake_case", ["snake_case"]),
        ("Jose\u0301 saw it.", ["Jose\u0301", "saw", "it", "."]),
        ("हिन्दी और दिल्ली।", ["हिन्दी", "और", "दिल्ली", "।"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("か\u3099き", ["か\u3099", "き"]),
        ("\u0301a", ["\u0301a"]),
        (" \n", []),
    ],
)
def test_words(text: str, wanted: list[str]) -> None:
    assert spelled(text) == wanted


@given(st.text())
def test_words_cover_all_but_white_space(text: str) -> None:
    spans = words(text)
    assert "".join(spelled(text)) == "".join(text.split())
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (spans[1:, 0] >= spans[:-1, 1]).all()


def pieces(*spans: tuple[int, int]) -> np.ndarray:
    return np.array(spans, dtype=np.int32).reshape(-1, 2)


def test_a_unit_begins_at_the_first_piece_of_a_word() -> None:
    spans, firsts = units_of("London is big", pieces((0, 3), (3, 6), (7, 9), (10, 13)))
    assert spans.tolist() == [[0, 6], [7, 9], [10, 13]]
    assert firsts.tolist() == [0, 2, 3]


def test_a_piece_may_take_the_space_before_its_word() -> None:
    spans, firsts = units_of("in London", pieces((0, 2), (2, 6), (6, 9)))
    assert spans.tolist() == [[0, 2], [3, 9]]
    assert firsts.tolist() == [0, 1]


def test_words_of_one_piece_are_one_unit() -> None:
    spans, firsts = units_of("so ... then", pieces((0, 2), (3, 6), (7, 11)))
    assert spans.tolist() == [[0, 2], [3, 6], [7, 11]]
    assert firsts.tolist() == [0, 1, 2]


def test_a_word_that_the_tokenizer_drops_is_no_unit() -> None:
    spans, firsts = units_of("a \u200d b", pieces((0, 1), (4, 5)))
    assert spans.tolist() == [[0, 1], [4, 5]]
    assert firsts.tolist() == [0, 1]
    assert units_of("abc", pieces())[0].shape == (0, 2)


def test_units_of_a_whole_text(tokenizer_file: Path) -> None:
    (found,) = Tokenizer(tokenizer_file).encode(["The good-ish film"], max_tokens=64, units="words")
    assert found.units is not None
    assert found.units.spans.tolist() == [[0, 3], [4, 8], [8, 9], [9, 12], [13, 17]]
    assert found.units.numbers.tolist() == [0, 1, 2, 3, 4]
    # [CLS] the good - is ##h film [SEP]
    assert found.units.positions.tolist() == [1, 2, 3, 4, 6]


@given(st.lists(st.sampled_from(["the", "good", "goodish", "x-y", "Zoo,", "film"]), min_size=1, max_size=40))
def test_windows_hold_every_unit_where_its_first_piece_is(tokenizer_file: Path, chosen: list[str]) -> None:
    text = " ".join(chosen)
    tokenizer = Tokenizer(tokenizer_file)
    (whole,) = tokenizer.encode([text], max_tokens=10_000, units="words")
    windows = tokenizer.encode([text], max_tokens=12, on_long="window", units="words")
    assert whole.units is not None
    seen = set()
    for window in windows:
        assert window.units is not None
        seen |= set(window.units.numbers.tolist())
        for position, number in zip(window.units.positions, window.units.numbers, strict=True):
            assert window.input_ids[position] == whole.input_ids[whole.units.positions[number]]
    assert seen == set(range(len(whole.units.spans)))
    (spans,) = unit_spans(windows)
    assert spans.tolist() == whole.units.spans.tolist()


def test_what_is_cut_off_has_no_units(tokenizer_file: Path) -> None:
    (cut,) = Tokenizer(tokenizer_file).encode(["a b c d e f g h i j"], max_tokens=8, units="words")
    assert cut.units is not None
    assert cut.truncated_tokens == 4
    assert cut.units.numbers.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(cut.units.spans) == 10


@given(st.integers(1, 30), st.integers(1, 40))
def test_windows_of_a_context_hold_each_piece_where_it_is(tokenizer_file: Path, asked: int, told: int) -> None:
    tokenizer = Tokenizer(tokenizer_file)
    question = " ".join(["the"] * asked)
    context = " ".join(("film", "x-y", "goodish")[i % 3] for i in range(told))
    (whole,) = tokenizer.encode([question], [context], max_tokens=10_000, units="context")
    windows = tokenizer.encode([question], [context], max_tokens=24, on_long="window", units="context")
    assert whole.units is not None
    seen = set()
    for window in windows:
        assert window.units is not None
        assert len(window) <= 24
        assert (window.units.numbers[0], window.units.positions[0]) == (0, 0)  # the first token: no answer
        np.testing.assert_array_equal(window.units.spans, whole.units.spans)
        for number, position in zip(window.units.numbers[1:], window.units.positions[1:], strict=True):
            assert window.input_ids[position] == whole.input_ids[whole.units.positions[number]]
            assert window.token_type_ids[position] == 1
        seen |= set(window.units.numbers.tolist())
    assert seen == set(range(len(whole.units.spans)))
    pieces = len(whole.units.spans) - 1
    # Where both do not fit into the 21 tokens beside the special ones, the question keeps half of them at least.
    assert {window.truncated_tokens for window in windows} == {max(0, asked - max(10, 21 - pieces))}


def test_a_long_context_is_cut_and_its_question_is_not(tokenizer_file: Path) -> None:
    tokenizer = Tokenizer(tokenizer_file)
    (cut,) = tokenizer.encode(["the a of"], ["film " * 30], max_tokens=12, units="context")
    assert cut.units is not None
    assert cut.truncated_tokens == 30 - (12 - 3 - 3)
    assert cut.units.numbers.tolist() == list(range(7))
    assert cut.units.spans[1].tolist() == [0, 4]


@pytest.mark.parametrize("on_long", ["truncate", "window"])
def test_a_long_question_takes_the_room_that_a_short_context_leaves(tokenizer_file: Path, on_long: OnLong) -> None:
    tokenizer = Tokenizer(tokenizer_file)
    (cut,) = tokenizer.encode(["the " * 20], ["film a"], max_tokens=15, on_long=on_long, units="context")
    (whole,) = tokenizer.encode(["the " * 10], ["film a"], max_tokens=15, on_long=on_long, units="context")
    assert cut.input_ids.tolist() == whole.input_ids.tolist()
    assert (cut.truncated_tokens, whole.truncated_tokens) == (10, 0)
