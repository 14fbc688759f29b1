"""How `limbeck augment` makes rows: each method with the words and models that it needs, loaded once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from limbeck.augmentation.eda import (
    Synonyms,
    change_each,
    delete_words,
    insert_synonyms,
    replace_by_synonyms,
    swap_words,
)
from limbeck.augmentation.made import Make, Method
from limbeck.augmentation.masked import load_masked_model, replace_by_model
from limbeck.augmentation.synonyms import NEAREST, base_vectors, distinct_words, nearest_words, read_word_vectors
from limbeck.augmentation.tinybert import CANDIDATES, PROBABILITY, replace_each
from limbeck.augmentation.translation import load_translator, translate_back
from limbeck.console import notes
from limbeck.data import Dataset
from limbeck.errors import UsageError
from limbeck.nn.resolve import resolve_base

EDA: tuple[Method, ...] = ("synonyms", "insert", "delete", "swap")
OF_VECTORS, OF_MASKS = {"synonyms", "insert", "tinybert"}, {"masked", "tinybert"}
SHARE, TOP_K = 0.1, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of the methods: the arguments of `augment` by their names."""

    methods: tuple[Method, ...]
    copies: int
    share: float | None
    word_vectors: Path | None
    base: str
    there: str | None
    back: str | None
    language: str | None
    pivot: str | None
    beams: int
    top_k: int | None
    budget_tokens: int

    def check(self) -> None:
        """Raise one `UsageError` for all that is missing or means nothing to the methods."""
        translates = "back-translation" in self.methods
        wrong = []
        if not self.methods:
            wrong.append("no --method")
        if translates and not (self.there and self.back):
            wrong.append("--method back-translation needs two translation models: --there MODEL --back MODEL")
        if not translates and (self.there or self.back or self.beams):
            wrong.append("--there, --back and --beams are for --method back-translation")
        if self.beams and self.copies > 1:
            wrong.append("--beams finds the one best translation: drop it, or --copies")
        if self.word_vectors and not OF_VECTORS & set(self.methods):
            wrong.append("--word-vectors are for --method synonyms, insert and tinybert")
        if wrong:
            raise UsageError("; ".join(wrong))


def makers_of(asked: Asked, train: Dataset, device: torch.device) -> dict[Method, Make]:
    """What makes rows of the training rows, for each method that was asked for."""
    share = asked.share or SHARE
    found: dict[Method, Make] = {
        "delete": partial(change_each, change=partial(delete_words, share=share)),
        "swap": partial(change_each, change=partial(swap_words, share=share)),
    }
    if {"synonyms", "insert"} & set(asked.methods):
        near = _nearest(asked, train, NEAREST)
        found["synonyms"] = partial(change_each, change=partial(replace_by_synonyms, share=share, synonyms=near))
        found["insert"] = partial(change_each, change=partial(insert_synonyms, share=share, synonyms=near))
    if OF_MASKS & set(asked.methods):
        found |= _of_masks(asked, train, device)
    if asked.there and asked.back:
        found["back-translation"] = partial(
            translate_back,
            there=load_translator(asked.there, asked.language, asked.pivot, device),
            back=load_translator(asked.back, asked.pivot, asked.language, device),
            beams=asked.beams,
            top_k=asked.top_k or TOP_K,
            budget_tokens=asked.budget_tokens,
        )
    return {name: found[name] for name in asked.methods}


def _of_masks(asked: Asked, train: Dataset, device: torch.device) -> dict[Method, Make]:
    with tempfile.TemporaryDirectory() as place:
        model = load_masked_model(resolve_base(asked.base), Path(place), device)
    found: dict[Method, Make] = {
        "masked": partial(
            replace_by_model,
            masked_model=model,
            share=asked.share or SHARE,
            top_k=asked.top_k or TOP_K,
            budget_tokens=asked.budget_tokens,
        )
    }
    if "tinybert" in asked.methods:
        candidates = asked.top_k or CANDIDATES
        # By its embeddings only words of one piece are near to any, and those are masked.
        near = _nearest(asked, train, candidates) if asked.word_vectors else {}
        if not asked.word_vectors:
            notes(("words of several pieces stay: --word-vectors FILE would give them near ones",))
        found["tinybert"] = partial(
            replace_each,
            masked_model=model,
            synonyms=near,
            share=asked.share or PROBABILITY,
            top_k=candidates,
            budget_tokens=asked.budget_tokens,
        )
    return found


def _nearest(asked: Asked, train: Dataset, nearest: int) -> Synonyms:
    """The words near to those of the texts, by a file of word vectors or else by the embeddings of the base."""
    words: Sequence[str] = distinct_words([*train.texts, *(train.pairs or [])])
    file = asked.word_vectors
    known = read_word_vectors(file, frozenset(words)) if file else base_vectors(resolve_base(asked.base))
    found = nearest_words(words, known, nearest=nearest)
    notes((f"{len(found):,} of {len(words):,} words have synonyms",))
    return found
