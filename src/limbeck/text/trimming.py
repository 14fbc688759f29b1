"""A tokenizer whose vocabulary is cut to what some texts use, and which splits these texts as before.

Beside the pieces in use stay all special and added tokens and all single characters and bytes, so that a word whose
piece is gone is read in smaller ones. Texts whose pieces all stay are split as before: greedy longest match (WordPiece)
and the best scored split (Unigram) still find what they found, since nothing better is left; and so do merges (BPE)
with every merge that made a piece in use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import UsageError

_KINDS = ("WordPiece", "Unigram", "BPE")
_MARKS = ("continuing_subword_prefix", "end_of_word_suffix")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True, slots=True, eq=False)
class Trimmed:
    """The `tokenizer.json` of a smaller vocabulary, and of each of its tokens the id that it had, ascending."""

    content: str
    kept: NDArray[np.int64]

    def number(self, before: int) -> int:
        """The id of a token that is kept and had the id `before`."""
        return int(np.searchsorted(self.kept, before))


def trim_tokenizer(content: str, used: Iterable[int]) -> Trimmed:
    """The tokenizer of a `tokenizer.json` with the tokens `used`, and those without which it would not be one.

    Raises `UsageError` for a kind of tokenizer that cannot be cut: expected is WordPiece, Unigram, or BPE that does not
    mark pieces by where they stand in a word.
    """
    description = json.loads(content)
    model = description["model"]
    kind = model.get("type")
    if kind not in _KINDS or (kind == "BPE" and any(model.get(mark) for mark in _MARKS)):
        raise UsageError(
            f"--trim-vocabulary: expected a tokenizer of the kind WordPiece, Unigram or BPE without affixes, and it is "
            f"{kind}: leave it out"
        )
    pieces = [p for p, _ in model["vocab"]] if kind == "Unigram" else sorted(model["vocab"], key=model["vocab"].get)
    number = {piece: i for i, piece in enumerate(pieces)} if kind == "Unigram" else dict(model["vocab"])
    added = {token["id"] for token in description["added_tokens"]}
    wanted = {*used, *added, *_always(kind, model, pieces, number)}
    if kind == "BPE":
        by_number = {i: piece for piece, i in number.items()}
        wanted |= {number[p] for p in _derived((by_number[i] for i in wanted if i in by_number), model["merges"])}
    kept = np.array(sorted(wanted), dtype=np.int64)
    new = {int(old): i for i, old in enumerate(kept)}
    _cut(kind, model, number, new)
    for token in description["added_tokens"]:
        token["id"] = new[token["id"]]
    if description.get("padding"):
        description["padding"]["pad_id"] = new[description["padding"]["pad_id"]]
    _renumber(description.get("post_processor"), new)
    return Trimmed(json.dumps(description, ensure_ascii=False), kept)


def unknown_id(content: str) -> int | None:
    """The id that stands for what a `tokenizer.json` cannot read; None where it can read all."""
    model = json.loads(content)["model"]
    if model["type"] == "Unigram":
        found: int | None = model.get("unk_id")
        return found
    return None if model.get("unk_token") is None else int(model["vocab"][model["unk_token"]])


def _always(kind: str, model: dict[str, Any], pieces: list[str], number: dict[str, int]) -> Iterator[int]:
    """What stays whether it is used or not."""
    prefix = model["continuing_subword_prefix"] if kind == "WordPiece" else ""
    yield from (number[p] for p in pieces if len(p.removeprefix(prefix)) == 1 or _BYTE.fullmatch(p))
    if kind == "Unigram":
        # transformers numbers the first tokens itself; and the worst score decides what an unknown one costs.
        yield from range((model["unk_id"] or 0) + 1)
        yield min(range(len(pieces)), key=lambda i: model["vocab"][i][1])
    elif model.get("unk_token") is not None:
        yield number[model["unk_token"]]


def _derived(pieces: Iterable[str], merges: list[list[str]]) -> Iterator[str]:
    """The pieces and all from which merges make them."""
    rank = {(a, b): i for i, (a, b) in enumerate(merges)}
    for piece in pieces:
        yield piece
        parts = list(piece)
        while len(parts) > 1:
            best = min(range(len(parts) - 1), key=lambda i: rank.get((parts[i], parts[i + 1]), len(rank)))
            if (parts[best], parts[best + 1]) not in rank:
                break  # an added token, which no merge makes
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
            yield parts[best]


def _cut(kind: str, model: dict[str, Any], number: dict[str, int], new: dict[int, int]) -> None:
    if kind == "Unigram":
        model["vocab"] = [entry for i, entry in enumerate(model["vocab"]) if i in new]
        model["unk_id"] = None if model["unk_id"] is None else new[model["unk_id"]]
        return
    model["vocab"] = {piece: new[i] for piece, i in number.items() if i in new}
    if kind == "BPE":
        there = model["vocab"]
        model["merges"] = [[a, b] for a, b in model["merges"] if a in there and b in there and a + b in there]


def _renumber(processor: dict[str, Any] | None, new: dict[int, int]) -> None:
    """Of what puts special tokens around a text."""
    for inner in (processor or {}).get("processors", ()):
        _renumber(inner, new)
    if processor and processor["type"] == "TemplateProcessing":
        for token in processor["special_tokens"].values():
            token["ids"] = [new[i] for i in token["ids"]]
    elif processor and processor["type"] in ("BertProcessing", "RobertaProcessing"):
        for name in ("sep", "cls"):
            processor[name][1] = new[processor[name][1]]
