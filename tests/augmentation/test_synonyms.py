from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from limbeck.augmentation.synonyms import (
    WordVectors,
    base_vectors,
    distinct_words,
    nearest_words,
    read_word_vectors,
    vocabulary_vectors,
)
from limbeck.errors import BaseModelError, DataError


class Vocabulary:
    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    def get_vocab(self) -> dict[str, int]:
        return {piece: index for index, piece in enumerate(self.pieces)}


def test_files_of_glove_and_word2vec_are_read(tmp_path: Path) -> None:
    glove, word2vec = tmp_path / "glove.txt", tmp_path / "vectors.txt.gz"
    glove.write_text("the 0.5 -1\nGood 1 2e-1\ngood 9 9\nnew york 3 4\n")
    word2vec.write_bytes(gzip.compress(b"2 2\nthe 0.5 -1 \nGood 1 2e-1 \n"))
    found = read_word_vectors(glove)
    assert found.words == ["the", "good", "new york"]  # the first of two in other case stays
    assert found.vectors.tolist() == [[0.5, -1], [1, pytest.approx(0.2)], [3, 4]]
    assert read_word_vectors(word2vec).words == ["the", "good"]


@pytest.mark.parametrize("text", ["the 1 2\ngood 1\n", "the 1 2\ngood one 2\n", "the 1 2\ngood nan 2\n", "the 1 2\n\n"])
def test_a_line_that_is_no_vector_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "glove.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=r"glove.txt, line 2: expected a word and 2 numbers"):
        read_word_vectors(path)


def test_all_lines_that_are_no_vectors_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "glove.txt"
    path.write_text("".join(f"word{n} 1 {'x' if n % 3 == 1 else 2}\n" for n in range(90)))
    with pytest.raises(DataError, match=r"line 2: .*; so it is in 29 more: 5, 8, 11, .*, 59, …"):
        read_word_vectors(path)


def test_words_that_are_wanted_are_read_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.augmentation.synonyms.MAX_WORDS", 3)
    path = tmp_path / "glove.txt"
    path.write_text("good 1 0\nfine 1 0.1\nbad 0 1\nawful 0 9\nsplendid 1 0.05\nnot one vector\n")
    found = read_word_vectors(path, {"splendid"})
    assert found.words == ["good", "fine", "bad", "splendid"]
    near = nearest_words(found.words, found)
    assert near["splendid"][0] in ("good", "fine")
    assert all("splendid" not in others for others in near.values())  # too rare to stand for others
    with pytest.raises(DataError, match="line 6"):
        read_word_vectors(path, {"not"})


def test_a_file_of_other_things_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n")
    with pytest.raises(DataError, match=r"line 1: expected a word and its numbers"):
        read_word_vectors(path)


def test_the_nearest_are_those_of_largest_cosine() -> None:
    random = np.random.default_rng(3)
    words = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(650)]
    vectors = random.normal(size=(650, 8)).astype(np.float32)
    found = nearest_words(words, WordVectors(words, vectors), nearest=4)
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    for i in (0, 1, 511, 512, 649):
        order = np.argsort(-(unit @ unit[i]))[1:5]
        assert found[words[i]] == [words[j] for j in order]


def test_signs_numbers_and_stop_words_stand_for_no_word() -> None:
    words = ["good", "the", "3", "x", "!", "fine", "o'clock"]
    vectors = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [1, 0], [-1, 1], [1, 0]], dtype=np.float32)
    assert nearest_words(["good", "unheard"], WordVectors(words, vectors)) == {"good": ["fine"]}
    assert distinct_words(["The good, the 3 -- Bad!", "good not"]) == ["bad", "good"]


def test_whole_words_of_a_vocabulary() -> None:
    table = np.arange(12, dtype=np.float32).reshape(6, 2)
    for pieces in (
        ("[CLS]", "##s", "good", "Fine", "7", "##good"),
        ("<s>", "s", "Ġgood", "ĠFine", "Ġ7", "good"),
        ("<s>", "s", "▁good", "▁Fine", "▁", "good"),
    ):
        found = vocabulary_vectors(Vocabulary(*pieces), table)
        assert (found.words, found.vectors.tolist()) == (["good", "fine"], [[4, 5], [6, 7]])
    with pytest.raises(BaseModelError, match="--word-vectors"):
        vocabulary_vectors(Vocabulary("a", "b"), table)


def test_a_base_gives_its_input_embeddings(tiny_base: Path) -> None:
    found = base_vectors(str(tiny_base))
    assert {"good", "film"} <= set(found.words)
    assert found.vectors.shape == (len(found.words), 32)
