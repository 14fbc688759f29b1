"""Synonyms as the nearest words of a vector space: a file of word vectors, or an encoder's own input embeddings."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoModel

from limbeck.augmentation.words import words_of
from limbeck.data.problems import SHOWN
from limbeck.data.textfile import open_text
from limbeck.errors import BaseModelError, DataError
from limbeck.nn.base import load_tokenizer, quiet_loading

MAX_WORDS = 50_000  # the commonest words come first, and a rare word seldom stands well for another
NEAREST = 5
BLOCK_WORDS = 512  # rows of similarities held at once
_HEADER = re.compile(r"\d+ \d+\s*")
WORD_STARTS = ("Ġ", "▁")  # how byte-level BPE and SentencePiece mark the first piece of a word
# Words that carry grammar or deny: changing them changes what is said, or says nothing new.
_STOP_WORDS = """
a about above after again against all also although am an and any are as at be because been before being below
between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each either
even few for from further had hadn't has hasn't have haven't having he her here hers herself him himself his how
however i if in into is isn't it its it's itself just least less many may me might mine more most much must my
myself n't neither never no nobody none nor not nothing of off on once one only or other our ours ourselves out over
own rather s same shall she should shouldn't since so some such t than that that's the their theirs them themselves
then there these they this those though through to too toward under unless until up upon us very was wasn't we were
weren't what when where whether which while who whom whose why will with within without won't would wouldn't yet you
your yours yourself yourselves
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True, slots=True, eq=False)
class WordVectors:
    """Words in lower case and their vectors, float32 `[words, width]`."""

    words: list[str]
    vectors: NDArray[np.float32]


def read_word_vectors(path: Path, wanted: Collection[str] = ()) -> WordVectors:
    """The 50,000 first words of a text file of word vectors, and those `wanted` that stand behind them.

    The file has a word and its numbers in a line, as GloVe and word2vec write it, plain or gzip-compressed. Lines of
    other words are passed by, so that memory is that of the words kept.

    Raises `DataError`, naming the lines, where some do not hold a word and as many numbers as the first.
    """
    lines: dict[str, int] = {}
    numbers = array("f")
    wrong: list[tuple[int, str]] = []
    width = 0
    with open_text(path, newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and _HEADER.fullmatch(line):
                continue  # word2vec says first how many words and numbers follow
            if len(lines) >= MAX_WORDS and line[: line.find(" ")].lower() not in wanted:
                continue
            width = width or len(line.split()) - 1
            word, values = _vector(line, width)
            if not word:
                wrong.append((number, line))
                if len(wrong) == number:  # nothing of this file was one yet
                    break
            elif word not in lines:
                lines[word] = number
                numbers.extend(values)
    if wrong:
        raise DataError(f"{path.name}, {_wrong_lines(wrong, width)}")
    if not lines:
        raise DataError(f"{path.name} holds no word vector")
    return WordVectors(list(lines), np.frombuffer(numbers, dtype=np.float32).reshape(-1, width))


def _vector(line: str, width: int) -> tuple[str, list[float]]:
    """The word of a line in lower case and its numbers; no word where the line does not hold both."""
    word, *parts = line.rstrip().rsplit(" ", width)  # GloVe's largest files have words with spaces in them
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    whole = bool(width) and len(values) == width and math.isfinite(sum(values))
    return (word.lower(), values) if whole else ("", [])


def _wrong_lines(wrong: list[tuple[int, str]], width: int) -> str:
    number, line = wrong[0]
    others = ", ".join(f"{other:,}" for other, _ in wrong[1:SHOWN])
    more = f"; so it is in {len(wrong) - 1:,} more: {others}{', …' if len(wrong) > SHOWN else ''}" if others else ""
    return (
        f"line {number}: expected a word and {width or 'its'} numbers, as GloVe and word2vec text files have them, "
        f"got {line.rstrip()!r:.60}{more}"
    )


def base_vectors(base: str) -> WordVectors:
    """The words in the vocabulary of `base`, a folder or hub id, with the encoder's input embeddings.

    Raises `BaseModelError` where it cannot be loaded.
    """
    tokenizer = load_tokenizer(base)
    try:
        with quiet_loading():
            encoder = AutoModel.from_pretrained(base, dtype="float32")
    except (OSError, ValueError, SafetensorError) as error:
        raise BaseModelError(f"cannot load an encoder from {base!r}: {error}") from error
    return vocabulary_vectors(tokenizer, encoder.get_input_embeddings().weight.detach().numpy())


def vocabulary_vectors(tokenizer: Any, embeddings: NDArray[np.float32]) -> WordVectors:
    """The words that are one piece of a base's tokenizer, with their input embeddings `[pieces, width]`.

    Raises `BaseModelError` where the pieces do not tell words from parts of words.
    """
    pieces: dict[str, int] = tokenizer.get_vocab()
    if any(piece.startswith("##") for piece in pieces):
        whole = {piece: index for piece, index in pieces.items() if not piece.startswith("##")}
    else:
        whole = {piece[1:]: index for piece, index in pieces.items() if piece.startswith(WORD_STARTS)}
    found: dict[str, int] = {}
    for word, index in sorted(whole.items(), key=lambda item: item[1]):
        if word.isalpha() and index < len(embeddings):
            found.setdefault(word.lower(), index)
    if not found:
        raise BaseModelError("this base's tokenizer has no whole words: give synonyms with --word-vectors")
    return WordVectors(list(found), embeddings[list(found.values())])


def distinct_words(texts: Iterable[str]) -> list[str]:
    """The words of the texts that may have synonyms, in lower case, sorted, each once."""
    found = {text[start:end].lower() for text in texts for start, end in words_of(text)}
    return sorted(filter(may_change, found))


def may_change(word: str) -> bool:
    """Whether other words may stand for `word`, in lower case: it is neither a stop word nor a number."""
    return word not in STOP_WORDS and not word.isdecimal()


def nearest_words(words: Iterable[str], known: WordVectors, *, nearest: int = NEAREST) -> dict[str, list[str]]:
    """The nearest other words of each word that has a vector, by cosine, the nearest first.

    The 50,000 first words may stand for others. Their mean, which says nothing of any word, is taken off first (Mu and
    Viswanath 2018, "All-but-the-Top"). Numbers, signs, single letters and stop words stand for no other word.
    """
    centred = known.vectors - known.vectors[:MAX_WORDS].mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    index_of = {word: index for index, word in enumerate(known.words)}
    common = known.words[:MAX_WORDS]
    may_stand = np.array(
        [i for i, word in enumerate(common) if len(word) > 1 and word.isalpha() and word not in STOP_WORDS],
        dtype=np.int64,
    )
    asked = [word for word in words if word in index_of]
    found: dict[str, list[str]] = {}
    for start in range(0, len(asked), BLOCK_WORDS):
        block = asked[start : start + BLOCK_WORDS]
        similarity = unit[[index_of[word] for word in block]] @ unit[may_stand].T
        take = min(nearest + 1, len(may_stand))  # the word is its own nearest
        top = np.argpartition(-similarity, take - 1, axis=1)[:, :take] if take else similarity.astype(np.int64)
        for row, word in enumerate(block):
            ordered = top[row][np.argsort(-similarity[row, top[row]], kind="stable")]
            others = [other for i in ordered if (other := known.words[may_stand[i]]) != word][:nearest]
            if others:
                found[word] = others
    return found
