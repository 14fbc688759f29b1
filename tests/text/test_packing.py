from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import NEUTRAL
from families import TOKENIZERS
from limbeck.text import NO_WORD, Tokenizer, pack, pack_pairs, tokenize_documents

SENTENCES = st.lists(
    st.sampled_from(["the film was good.", "watched it!", "a dull zebra", "oh.", "quite, rather long?"])
)
STORY = "the film was good. we watched it. the actor was dull! a zebra thought. it was long, very long? yes. "


@pytest.fixture(scope="module")
def tokenizer(tokenizer_file: Path) -> Tokenizer:
    return Tokenizer(tokenizer_file)


@given(st.lists(st.tuples(SENTENCES.map(" ".join), st.booleans()), max_size=6), st.integers(5, 40))
def test_all_tokens_are_there_once_and_in_order(
    tokenizer: Tokenizer, passages: list[tuple[str, bool]], max_tokens: int
) -> None:
    packed = pack(tokenizer, tokenize_documents(tokenizer, passages), max_tokens=max_tokens)
    assert all(3 <= len(row) <= max_tokens for row in packed.rows)
    texts = tokenizer.encode([text for text, _ in passages], max_tokens=10_000)
    wanted = [i for text in texts for i in text.input_ids[1:-1]]
    assert [i for row in packed.rows for i in row.input_ids[1:-1]] == wanted
    assert packed.tokens == len(wanted) + 2 * len(packed)


def test_a_text_that_fits_is_what_the_tokenizer_makes_of_it(tokenizer: Tokenizer) -> None:
    (row,) = pack(tokenizer, tokenize_documents(tokenizer, [(STORY, False)]), max_tokens=64).rows
    (wanted,) = tokenizer.encode([STORY], max_tokens=64)
    np.testing.assert_array_equal(row.input_ids, wanted.input_ids)
    np.testing.assert_array_equal(row.token_type_ids, wanted.token_type_ids)


def test_sequences_end_with_sentences_and_sentences_are_cut_between_words(tokenizer: Tokenizer) -> None:
    full_stop, zebra = tokenizer.token_id("."), tokenizer.encode(["zebra"], max_tokens=9)[0].input_ids[1:-1]
    assert len(zebra) == 5
    whole = pack(tokenizer, tokenize_documents(tokenizer, [("it was good. " * 20, False)]), max_tokens=16)
    assert {int(row.input_ids[-2]) for row in whole.rows} == {full_stop}
    assert {len(row) for row in whole.rows[:-1]} == {14}
    one = pack(tokenizer, tokenize_documents(tokenizer, [("zebra " * 20, False)]), max_tokens=16)
    assert {len(row) for row in one.rows} == {12}
    long_word = pack(tokenizer, tokenize_documents(tokenizer, [("zebra" * 9, False)]), max_tokens=16)
    assert [len(row) for row in long_word.rows] == [16, 16, 16, 5]


@pytest.fixture(scope="module", params=TOKENIZERS)
def any_tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer of each kind: pieces without spaces, with the space before them, or that space a piece of its own."""
    path = tmp_path_factory.mktemp(request.param) / "tokenizer.json"
    TOKENIZERS[request.param]([STORY, "the film was good. it was a dull film!"])[0].save(str(path))
    return Tokenizer(path)


@given(
    st.lists(st.sampled_from(["the film was good.", "yes!", "zebra, watched?", "we.", "it was 3.5 long."]), min_size=1),
    st.sampled_from([" ", "  "]),
)
def test_a_sentence_starts_with_its_first_word(any_tokenizer: Tokenizer, sentences: list[str], between: str) -> None:
    text = between.join(sentences)
    (document,) = tokenize_documents(any_tokenizer, [(text, False)])
    (encoding,) = any_tokenizer.pieces([text])
    starts = np.flatnonzero(document.sentence_starts)
    assert document.word_starts[starts].all()
    ends = [*starts[1:], len(document)]
    read = [text[encoding.offsets[a][0] : encoding.offsets[b - 1][1]] for a, b in zip(starts, ends, strict=True)]
    assert [sentence.strip() for sentence in read] == sentences


def test_a_sentence_that_follows_without_a_space_starts_where_it_stands(any_tokenizer: Tokenizer) -> None:
    (document,) = tokenize_documents(any_tokenizer, [("a。we。it", False)])
    (encoding,) = any_tokenizer.pieces(["a。we。it"])
    assert {encoding.offsets[i][0] for i in np.flatnonzero(document.sentence_starts)} == {0, 2, 5}


def test_paragraphs_that_follow_share_sequences_and_others_do_not(tokenizer: Tokenizer) -> None:
    for follows, rows in ((True, 1), (False, 2)):
        documents = tokenize_documents(tokenizer, [("we watched it.", False), ("it was dull.", follows)])
        assert len(pack(tokenizer, documents, max_tokens=32)) == rows


def test_words_are_known_by_the_place_of_their_first_piece(tokenizer: Tokenizer) -> None:
    packed = pack(tokenizer, tokenize_documents(tokenizer, [("a zebra it", False), ("it", False)]), max_tokens=32)
    assert packed.words.tolist() == [
        [NO_WORD, 1, 2, 2, 2, 2, 2, 7, NO_WORD],
        [NO_WORD, 1, *7 * [NO_WORD]],
    ]


def test_half_of_the_pairs_do_not_follow(tokenizer: Tokenizer) -> None:
    # Each document says one word only, so that it is known where a part comes from.
    documents = tokenize_documents(tokenizer, [(f"{word} {word} {word} {word}. " * 60, False) for word in NEUTRAL])
    packed = pack_pairs(tokenizer, documents, max_tokens=48, seed=1)
    labels, full_stop = packed.random_next, tokenizer.token_id(".")
    assert 0.44 < labels.mean() < 0.56
    for row, words, label in zip(packed.rows, packed.words, labels, strict=True):
        readable = words[: len(row)] != NO_WORD
        parts = [set(row.input_ids[readable & (row.token_type_ids == kind)]) - {full_stop} for kind in (0, 1)]
        assert len(row) <= 48
        assert len(parts[0]) == 1
        assert (parts[1] <= parts[0]) == (not label)  # the end of a document may be its full stop alone
    again = pack_pairs(tokenizer, documents, max_tokens=48, seed=1)
    assert (again.random_next == labels).all()
    assert (pack_pairs(tokenizer, documents, max_tokens=48, seed=2).random_next[:40] != labels[:40]).any()


def test_pairs_are_read_with_the_special_tokens_of_pairs(tokenizer: Tokenizer) -> None:
    documents = tokenize_documents(tokenizer, [("we watched it. it was dull.", False)] * 2)
    row = pack_pairs(tokenizer, documents, max_tokens=32, seed=0).rows[0]
    (wanted,) = tokenizer.encode(["we watched it."], ["it was dull."], max_tokens=32)
    assert row.token_type_ids[: len(wanted)].tolist() == wanted.token_type_ids.tolist()
    assert row.input_ids[:6].tolist() == wanted.input_ids[:6].tolist()


def test_a_part_is_the_same_each_time(tokenizer: Tokenizer) -> None:
    packed = pack(tokenizer, tokenize_documents(tokenizer, [(f"film {i}", False) for i in range(50)]), max_tokens=16)
    part = packed.at_most(7)
    assert len(part) == len(part.words) == 7
    assert [row.row for row in part.rows] == sorted(row.row for row in packed.at_most(7).rows)
    assert packed.at_most(50) is packed
