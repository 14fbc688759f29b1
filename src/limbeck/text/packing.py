"""Running text as sequences that fill what the model reads, cut between sentences, or between words at least."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tokenizers import Encoding

from limbeck.text.tokenizer import Special, Tokenizer, Tokens

NO_WORD = -1  # of special tokens and padding
ENCODED_AT_ONCE = 1_000  # passages
# Where a sentence begins, well enough to cut at: `Mr. Smith` is cut too, and mostly put together again at once.
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """Consecutive tokens `[n]`, and at which of them a word and a sentence begin, bool `[n]`."""

    input_ids: NDArray[np.int32]
    word_starts: NDArray[np.bool_]
    sentence_starts: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Sequences to read.

    `words` `[rows, longest]` has for each token the place of its word's first piece, NO_WORD for special tokens and
    padding. `random_next` `[rows]` is 1 where the second part of a pair comes from elsewhere, and empty without pairs.
    """

    rows: list[Tokens]
    words: NDArray[np.int16]
    random_next: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def tokens(self) -> int:
        """All tokens, special ones included."""
        return sum(map(len, self.rows))

    def at_most(self, rows: int) -> Packed:
        """At most `rows` rows drawn evenly, the same ones every time and in their order."""
        if len(self) <= rows:
            return self
        kept = np.sort(np.random.default_rng(0).permutation(len(self))[:rows])
        return Packed([self.rows[i] for i in kept], self.words[kept], self.random_next[kept[: len(self.random_next)]])


Part = tuple[Document, int, int]
"""A document's tokens from one place to another, the end exclusive."""


def tokenize_documents(tokenizer: Tokenizer, passages: Sequence[tuple[str, bool]]) -> list[Document]:
    """Passages as documents; one whose flag is set goes on where the one before it ended."""
    documents: list[list[Document]] = []
    for first in range(0, len(passages), ENCODED_AT_ONCE):
        some = passages[first : first + ENCODED_AT_ONCE]
        for (text, follows), encoding in zip(some, tokenizer.pieces([text for text, _ in some]), strict=True):
            if not (follows and documents):
                documents.append([])
            documents[-1].append(_document(text, encoding))
    joined = (_join(parts) for parts in documents)
    return [document for document in joined if len(document)]


def _document(text: str, encoding: Encoding) -> Document:
    ids = np.array(encoding.ids, np.int32)
    offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    words = np.diff(np.array(encoding.word_ids, np.int64), prepend=-1) != 0
    sentences = np.zeros(len(ids), np.bool_)
    sentences[:1] = True
    sentences[_sentence_starts(text, offsets, words)] = True
    return Document(ids, words, sentences)


def _sentence_starts(text: str, offsets: NDArray[np.int64], words: NDArray[np.bool_]) -> list[int]:
    """The pieces that sentences behind the first begin with.

    A word's first piece may carry the space before it, or be that space alone.
    """
    places = [match.end() for match in _SENTENCE.finditer(text)]
    begun = np.searchsorted(offsets[:, 1], places, side="right").tolist()  # the first piece that ends behind a place
    return [i - 1 if not words[i] and not text[slice(*offsets[i - 1])].strip() else i for i in begun if i < len(words)]


def _join(parts: Sequence[Document]) -> Document:
    return Document(
        np.concatenate([part.input_ids for part in parts]),
        np.concatenate([part.word_starts for part in parts]),
        np.concatenate([part.sentence_starts for part in parts]),
    )


def pack(tokenizer: Tokenizer, documents: Sequence[Document], *, max_tokens: int) -> Packed:
    """Each document in consecutive sequences of as many whole sentences as fit into `max_tokens`.

    A sentence is cut between words where more than half of a sequence would stay empty. Documents are never mixed.
    """
    special = tokenizer.special_tokens(1)
    room = max_tokens - sum(len(s.input_ids) for s in special)
    return _packed([((part,), 0) for document in documents for part in _parts(document, room)], special)


def pack_pairs(tokenizer: Tokenizer, documents: Sequence[Document], *, max_tokens: int, seed: int) -> Packed:
    """Pairs for next-sentence prediction (Devlin et al. 2019, as in their `create_pretraining_data.py`).

    A stretch of text is split between two of its sentences; in half of the pairs what comes second is taken from
    another document instead, and the text goes on behind the first part. `documents` must be two at least.
    """
    special = tokenizer.special_tokens(2)
    room = max_tokens - sum(len(s.input_ids) for s in special)
    return _packed(list(_pairs(documents, room, np.random.default_rng(seed))), special)


def _parts(document: Document, room: int) -> Iterator[Part]:
    start = 0
    while start < len(document):
        end = _end(document, start, room)
        yield document, start, end
        start = end


def _end(document: Document, start: int, room: int) -> int:
    """Where a sequence of at most `room` tokens from `start` on should end."""
    limit = start + room
    if limit >= len(document):
        return len(document)
    for starts, least in ((document.sentence_starts, room // 2), (document.word_starts, 1)):
        found = np.flatnonzero(starts[start + least : limit + 1])
        if len(found):
            return start + least + int(found[-1])
    return limit


def _pairs(
    documents: Sequence[Document], room: int, random: np.random.Generator
) -> Iterator[tuple[tuple[Part, Part], int]]:
    for number, document in enumerate(documents):
        start = 0
        while start < len(document):
            end = _end(document, start, room)
            middle = _middle(document, start, end, random)
            if middle is None:  # a single token
                break
            first = (document, start, middle)
            if random.random() < 0.5:
                yield (first, (document, middle, end)), 0
                start = end
            else:
                other = documents[(number + int(random.integers(1, len(documents)))) % len(documents)]
                yield (first, _anywhere(other, room - (middle - start), random)), 1
                start = middle


def _middle(document: Document, start: int, end: int, random: np.random.Generator) -> int | None:
    """Where a second sentence begins, any of them; the middle word of a single sentence, None of a single token."""
    for starts in (document.sentence_starts, document.word_starts):
        found = np.flatnonzero(starts[start + 1 : end])
        if len(found):
            chosen = random.choice(found) if starts is document.sentence_starts else found[len(found) // 2]
            return start + 1 + int(chosen)
    return (start + end) // 2 if end - start > 1 else None


def _anywhere(document: Document, room: int, random: np.random.Generator) -> Part:
    start = int(random.choice(np.flatnonzero(document.sentence_starts)))
    return document, start, _end(document, start, room)


def _packed(sequences: Sequence[tuple[Sequence[Part], int]], special: Sequence[Special]) -> Packed:
    """The sequences with special tokens around their parts."""
    around = sum(len(s.input_ids) for s in special)
    longest = around + max((sum(end - start for _, start, end in parts) for parts, _ in sequences), default=0)
    words = np.full((len(sequences), longest), NO_WORD, np.int16)
    rows = []
    for row, (parts, _) in enumerate(sequences):
        ids: list[ArrayLike] = [special[0].input_ids]
        types: list[ArrayLike] = [special[0].token_type_ids]
        place = len(special[0].input_ids)
        for before, behind, (document, start, end) in zip(special, special[1:], parts, strict=False):
            words[row, place : place + end - start] = place + _word_places(document.word_starts[start:end])
            ids += [document.input_ids[start:end], behind.input_ids]
            types += [[before.text_type_id] * (end - start), behind.token_type_ids]
            place += end - start + len(behind.input_ids)
        rows.append(Tokens(row, np.concatenate(ids, dtype=np.int32), np.concatenate(types, dtype=np.int8)))
    pairs = len(special) > 2
    return Packed(rows, words, np.array([label for _, label in sequences] if pairs else [], np.int8))


def _word_places(starts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each token the place of the last one up to it at which a word begins; a word that was cut begins anew."""
    places = np.where(starts, np.arange(len(starts)), 0)
    found: NDArray[np.int64] = np.maximum.accumulate(places)
    return found
