"""Words replaced by what a masked language model reads in their place, or by near ones where they are no single piece.

Jiao et al. (2020), "TinyBERT: Distilling BERT for Natural Language Understanding", https://arxiv.org/abs/1909.10351,
Algorithm 1. As in the program published with it, a word's candidates are found once for all copies of a text, each
beside the other words as they were, and stop words stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from limbeck.augmentation.eda import Synonyms
from limbeck.augmentation.masked import MaskedModel, other_words, read_masks
from limbeck.augmentation.sampling import Chance, OnDone
from limbeck.augmentation.synonyms import may_change
from limbeck.augmentation.words import Marked, free_words, in_case_of, replaced
from limbeck.text import Tokens, token_batches

PROBABILITY, CANDIDATES = 0.4, 15  # of the paper
MOST_ROWS = 256  # read at once: the logits of each are as many as the vocabulary has pieces


@dataclass(slots=True, eq=False)
class _Place:
    """A word that may be replaced, in characters, and by what; `token` is where it is read if it is to be masked."""

    start: int
    end: int
    token: int | None
    candidates: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Mask:
    """A place to be read: its text as tokens, and what takes the candidates."""

    tokens: Tokens
    token: int
    word: str
    place: _Place


def replace_each(
    texts: Sequence[Marked],
    chance: Chance,
    on_done: OnDone,
    *,
    masked_model: MaskedModel,
    synonyms: Synonyms,
    share: float,
    top_k: int,
    budget_tokens: int,
) -> list[Marked | None]:
    """Each word replaced with probability `share` by one of its candidates, all equally likely.

    The candidates of a word that is one piece of the model's vocabulary are the `top_k` other words that the model
    finds likeliest where it is masked, alone; those of any other word its `synonyms`. A word without candidates stays:
    one behind the tokens that the model reads, or of several pieces without synonyms.

    Args:
        texts: the texts; equal ones share their candidates.
        chance: their random generators.
        on_done: called with how many texts are done.
        masked_model: the model.
        synonyms: of words in lower case.
        share: the probability.
        top_k: how many candidates a word has.
        budget_tokens: the most tokens computed at once.

    Returns:
        One text each; None where no word may be changed.
    """
    distinct = list(dict.fromkeys(texts))
    tokens = masked_model.tokenizer.encode([t.text for t in distinct], max_tokens=masked_model.max_tokens)
    places = dict(zip(distinct, _places(distinct, tokens, masked_model, synonyms, top_k), strict=True))
    picks = [_picks(chance(i), len(places[text]), share) for i, text in enumerate(texts)]

    needed = {text: np.zeros(len(found), dtype=bool) for text, found in places.items()}
    for text, picked in zip(texts, picks, strict=True):
        needed[text] |= picked >= 0
    masks = [
        _Mask(read, place.token, text.text[place.start : place.end], place)
        for text, read in zip(distinct, tokens, strict=True)
        for place, wanted in zip(places[text], needed[text], strict=True)
        if wanted and place.token is not None
    ]
    done = 0
    lengths = [len(mask.tokens) for mask in masks]
    for batch in token_batches(
        lengths, budget_tokens=budget_tokens, max_length=masked_model.max_tokens, max_rows=MOST_ROWS
    ):
        _read(masked_model, [masks[i] for i in batch], top_k)
        done += len(batch)
        on_done(len(texts) * done // len(masks))
    on_done(len(texts))
    return [_changed(text, places[text], picked) for text, picked in zip(texts, picks, strict=True)]


def _places(
    texts: Sequence[Marked], tokens: Sequence[Tokens], masked_model: MaskedModel, synonyms: Synonyms, top_k: int
) -> list[list[_Place]]:
    """The words of each text that may be changed and can have candidates."""
    before, behind = (len(special.input_ids) for special in masked_model.tokenizer.special_tokens(1))
    found = []
    for text, read, encoding in zip(texts, tokens, masked_model.tokenizer.pieces([t.text for t in texts]), strict=True):
        starts, ends = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2).T
        readable = len(read) - before - behind if masked_model.mask_token not in text.text else 0
        places = []
        for start, end in free_words(text):
            word = text.text[start:end].lower()
            if not may_change(word):
                continue
            first, last = int(np.searchsorted(ends, start, "right")), int(np.searchsorted(starts, end, "left"))
            if last - first == 1 and encoding.ids[first] not in masked_model.special_ids:
                places += [_Place(start, end, before + first)] * (first < readable)
            elif word in synonyms:
                places.append(_Place(start, end, None, synonyms[word][:top_k]))
        found.append(places)
    return found


def _picks(random: np.random.Generator, places: int, share: float) -> NDArray[np.float32]:
    """For each place where in its candidates one is taken, from 0 to 1; -1 where the word stays."""
    chances, where = random.random((2, places), dtype=np.float32)
    return np.where(chances < share, where, np.float32(-1))


def _read(masked_model: MaskedModel, masks: Sequence[_Mask], top_k: int) -> None:
    """Give the places of one batch their candidates."""
    rows = []
    for mask in masks:
        ids = mask.tokens.input_ids.copy()
        ids[mask.token] = masked_model.mask_id
        rows.append(msgspec.structs.replace(mask.tokens, input_ids=ids))
    for read in read_masks(masked_model, rows, top_k + 1):  # one more, for the word itself may be among them
        mask = masks[read.row]
        others = other_words(read, mask.word, masked_model, top_k)
        mask.place.candidates = [masked_model.pieces[read.pieces[i]] for i in others]


def _changed(marked: Marked, places: Sequence[_Place], picks: NDArray[np.float32]) -> Marked | None:
    if not places:
        return None
    for place, picked in reversed(list(zip(places, picks.tolist(), strict=True))):
        if picked >= 0 and place.candidates:
            new = place.candidates[int(picked * len(place.candidates))]
            marked = replaced(marked, place.start, place.end, in_case_of(marked.text[place.start : place.end], new))
    return marked
