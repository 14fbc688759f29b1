"""`tokenizer.json` → token ids, with an explicit policy for what is longer than the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding
from tokenizers import Tokenizer as FastTokenizer

from limbeck.errors import BundleError, TooLong, UsageError
from limbeck.text.units import Spans, Units, units_of

OnLong = Literal["error", "truncate", "window"]
_POLICIES: tuple[OnLong, ...] = get_args(OnLong)
UnitKind = Literal["words", "context"]
WINDOW_OVERLAP = 0.25  # of the tokens a window holds


class Tokens(msgspec.Struct, frozen=True, eq=False):
    """One sequence for the model: a text, a pair, or a window of one. `row` is its text's index in the call.

    `units` are what it is answered for, where they were asked for.
    """

    row: int
    input_ids: NDArray[np.int32]
    token_type_ids: NDArray[np.int8]
    truncated_tokens: int = 0
    units: Units | None = None

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True, slots=True, eq=False)
class Special:
    """The special tokens that stand before a text, or behind the last; `text_type_id` is that of the text's tokens."""

    input_ids: list[int]
    token_type_ids: list[int]
    text_type_id: int


class Tokenizer:
    """A fast tokenizer that is never mutated after loading, so that calls do not disturb one another.

    A stored truncation or padding setting is switched off once: cutting and padding are decided a call at a time.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._fast: Any = FastTokenizer.from_file(str(path))
        except Exception as error:
            raise BundleError(f"{path} is not a tokenizer that the `tokenizers` library reads: {error}") from error
        self._fast.no_truncation()
        self._fast.no_padding()
        self._special: dict[int, list[Special]] = {}

    @property
    def vocabulary_size(self) -> int:
        """Entries in the vocabulary, added tokens included."""
        return int(self._fast.get_vocab_size())

    def token_id(self, token: str) -> int | None:
        """The id of a token, or None where it has none."""
        found = self._fast.token_to_id(token)
        return None if found is None else int(found)

    def lengths(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[int]:
        """Tokens of each text or pair, special tokens included, nothing cut."""
        inputs = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        return [len(e.ids) for e in self._fast.encode_batch_fast(inputs)]

    def pieces(self, texts: Sequence[str]) -> list[Encoding]:
        """Texts as pieces with their offsets in characters and the numbers of their words, no special tokens added."""
        return list(self._fast.encode_batch(list(texts), add_special_tokens=False))

    def special_tokens(self, texts: int) -> list[Special]:
        """The special tokens around one text or two: those before, between and behind."""
        if texts not in self._special:
            self._special[texts] = self._found_special_tokens(texts)
        return self._special[texts]

    def _found_special_tokens(self, texts: int) -> list[Special]:
        read = ((text, self._fast.encode(text).special_tokens_mask) for text in ("a", *self._fast.get_vocab()))
        sample, pieces = next((text, mask.count(0)) for text, mask in read if 0 in mask)
        whole = self._fast.encode(sample, sample if texts == 2 else None)
        ids, types = whole.ids, whole.type_ids
        starts = [whole.special_tokens_mask.index(0)] + ([whole.sequence_ids.index(1)] if texts == 2 else [])
        edges = [0, *(edge for start in starts for edge in (start, start + pieces)), len(ids)]
        around = [slice(edges[i], edges[i + 1]) for i in range(0, len(edges), 2)]
        following = [types[start] for start in starts] + [0]
        return [Special(ids[s], types[s], kind) for s, kind in zip(around, following, strict=True)]

    def encode(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        max_tokens: int,
        on_long: OnLong = "truncate",
        units: UnitKind | None = None,
    ) -> list[Tokens]:
        """Texts, or pairs of texts, as token ids of at most `max_tokens`, special tokens included.

        `truncate` cuts the end (of the longer text of a pair first) and counts what was cut; `window` reads a long text
        in windows that overlap by a quarter, several `Tokens` with one `row`, in order (of a pair the longer text
        slides); `error` raises `TooLong` naming all long rows.

        `units` notes the `words` of single texts, or of pairs the first token, which stands for no answer, and the
        pieces of the second text, the `context`; then the context is what is cut or slides.
        """
        if on_long not in _POLICIES:
            raise UsageError(f"unknown policy for long texts {on_long!r}: expected one of {_POLICIES}")
        room = max_tokens - self._fast.num_special_tokens_to_add(pairs is not None)
        if room < 1 + (pairs is not None):
            raise UsageError(f"max_tokens {max_tokens} leaves no room for text beside the special tokens")
        firsts = self._encodings(texts, offsets=units == "words")
        seconds = self._encodings(pairs, offsets=units == "context") if pairs is not None else [None] * len(firsts)
        if on_long == "error":
            _refuse_long(firsts, seconds, room, max_tokens)
        encoded: list[Tokens] = []
        for row, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
            found = _found_units(units, texts[row], first, second)
            tokens = len(first) + (len(second) if second is not None else 0)
            if tokens <= room or on_long == "truncate":
                cut = _truncate(first, second, room, second_only=units == "context")
                encoded.append(self._finish(row, first, second, cut, found, 0))
            else:
                cut, pieces = _windows(first, second, room, second_slides=units == "context")
                size = len(pieces[0][1] or ()) if units == "context" else room
                step = size - int(size * WINDOW_OVERLAP)
                encoded += [self._finish(row, a, b, cut, found, i * step) for i, (a, b) in enumerate(pieces)]
        return encoded

    def _encodings(self, texts: Sequence[str], *, offsets: bool) -> list[Encoding]:
        """Texts without special tokens; without offsets, which only units need, many are read faster."""
        if len(texts) == 1:  # of which other threads, that must be woken first, could take no share
            return [self._fast.encode(texts[0], add_special_tokens=False)]
        read = self._fast.encode_batch if offsets else self._fast.encode_batch_fast
        return list(read(list(texts), add_special_tokens=False))

    def _finish(
        self,
        row: int,
        first: Encoding,
        second: Encoding | None,
        truncated: int,
        units: Units | None,
        start: int,
    ) -> Tokens:
        """Add the special tokens; `start` is the index of the window's first piece in its text."""
        texts = [first] if second is None else [first, second]
        special = self.special_tokens(len(texts))
        ids, types, before = [*special[0].input_ids], [*special[0].token_type_ids], 0
        for around, text, behind in zip(special, texts, special[1:], strict=False):
            before = len(ids)  # in the end that of the last text, whose units are asked for
            ids += text.ids
            ids += behind.input_ids
            types += [around.text_type_id] * len(text)
            types += behind.token_type_ids
        here = units and _units_between(units, start, start + len(texts[-1]), before, of_context=second is not None)
        return Tokens(row, np.array(ids, np.int32), np.array(types, np.int8), truncated, here)


def _units_between(units: Units, start: int, end: int, before: int, *, of_context: bool) -> Units:
    """The units of a window, the pieces `start` to `end` of a text, which stand behind `before` tokens."""
    numbers = np.flatnonzero((units.positions >= start) & (units.positions < end)).astype(np.int32)
    positions = units.positions[numbers] - np.int32(start - before)
    if of_context:  # the first token of the sequence stands for no answer
        numbers, positions = np.insert(numbers, 0, 0), np.insert(positions, 0, 0)
    return Units(positions, numbers, units.spans)


def unit_spans(tokens: Sequence[Tokens]) -> list[Spans]:
    """Where the units of each text stand, one array a text, from tokens with units in order."""
    by_row = {token.row: token.units.spans for token in tokens if token.units is not None}
    return list(by_row.values())


def _found_units(kind: UnitKind | None, text: str, first: Encoding, second: Encoding | None) -> Units | None:
    """The units of a whole text or context, positions counted in its pieces; -1 for that which is in no text."""
    if kind is None:
        return None
    offsets = np.array((first if second is None else second).offsets, dtype=np.int32).reshape(-1, 2)
    if kind == "words":
        spans, positions = units_of(text, offsets)
    else:
        spans = np.concatenate([np.zeros((1, 2), np.int32), offsets])
        positions = np.arange(-1, len(offsets), dtype=np.int32)
    return Units(positions, np.arange(len(spans), dtype=np.int32), spans)


def _refuse_long(firsts: Sequence[Encoding], seconds: Sequence[Encoding | None], room: int, max_tokens: int) -> None:
    long = [
        f"text {row + 1} ({tokens} tokens)"
        for row, (a, b) in enumerate(zip(firsts, seconds, strict=True))
        if (tokens := len(a) + (len(b) if b is not None else 0)) > room
    ]
    if long:
        shown = ", ".join(long[:20]) + (f" and {len(long) - 20} more" if len(long) > 20 else "")
        raise TooLong(
            f"longer than the {max_tokens} tokens that the model reads ({room} beside special tokens): {shown}. "
            "Shorten them, or choose `--on-long truncate` or `--on-long window`."
        )


def _truncate(first: Encoding, second: Encoding | None, room: int, *, second_only: bool) -> int:
    """Cut one encoding, or two, to `room` tokens in place; returns how many were cut.

    Under `second_only` the first of two is cut to what the second leaves, but to no less than half of the room.
    """
    before = len(first) + (len(second) if second is not None else 0)
    if before <= room:
        return 0
    if second is None:
        first.truncate(room)
    else:
        keep = max(room // 2, room - len(second)) if second_only else _share(len(first), len(second), room)
        first.truncate(keep)
        second.truncate(room - len(first))
    return before - room


def _share(first: int, second: int, room: int) -> int:
    """How much of `room` the first text keeps when the longer of two is cut first."""
    half = room // 2
    if first <= half:
        return first
    if second <= room - half:
        return room - second
    return half


def _windows(
    first: Encoding, second: Encoding | None, room: int, *, second_slides: bool
) -> tuple[int, list[tuple[Encoding, Encoding | None]]]:
    """The windows of a text, or of a pair whose longer text, or the second, slides while the other stands in each.

    The other keeps at most half of the room, or what the one that slides leaves; how many tokens that cut comes first.
    """
    if second is None:
        return 0, [(piece, None) for piece in _slide(first, room)]
    if second_slides or len(first) < len(second):
        cut = _cut_to(first, max(room // 2, room - len(second)))
        return cut, [(first, piece) for piece in _slide(second, room - len(first))]
    cut = _cut_to(second, room // 2)
    return cut, [(piece, second) for piece in _slide(first, room - len(second))]


def _cut_to(encoding: Encoding, most: int) -> int:
    """Cut to at most so many tokens in place; returns how many were cut."""
    before = len(encoding)
    encoding.truncate(most)
    return before - len(encoding)


def _slide(encoding: Encoding, size: int) -> list[Encoding]:
    encoding.truncate(size, stride=int(size * WINDOW_OVERLAP))
    return [encoding, *encoding.overflowing]
