"""Words replaced by what a masked language model reads in their place.

Kobayashi (2018), "Contextual Augmentation", https://arxiv.org/abs/1805.06201, without its condition on the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForMaskedLM

from limbeck.augmentation.eda import words_to_change
from limbeck.augmentation.sampling import Chance, OnDone, draw
from limbeck.augmentation.synonyms import WORD_STARTS
from limbeck.augmentation.words import Marked, free_words, in_case_of, replaced, words_of
from limbeck.errors import BaseModelError
from limbeck.nn.base import load_config, load_tokenizer, longest_input, quiet_loading
from limbeck.text import Tokenizer, Tokens, pad, padded_length, token_batches


@dataclass(frozen=True, slots=True, eq=False)
class MaskedModel:
    """A masked language model, its tokenizer, and which of its pieces are words: `words` `[vocabulary]`, bool.

    `special_ids` are those of pieces that stand for no text, or for any that is unknown.
    """

    model: Any
    tokenizer: Tokenizer
    mask_token: str
    mask_id: int
    pad_id: int
    special_ids: frozenset[int]
    max_tokens: int
    pieces: list[str]
    words: Tensor


def load_masked_model(base: str, folder: Path, device: torch.device) -> MaskedModel:
    """The masked language model of `base`, a folder or hub id; `folder` is a place for its tokenizer's file.

    Raises `BaseModelError` where it cannot be loaded or was saved without its head.
    """
    tokenizer = load_tokenizer(base)
    try:
        with quiet_loading():
            model, info = AutoModelForMaskedLM.from_pretrained(base, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise BaseModelError(f"cannot load a masked language model from {base!r}: {error}") from error
    if info["missing_keys"] or tokenizer.mask_token is None or model.get_output_embeddings() is None:
        raise BaseModelError(
            f"{base}: this base has no masked-language-model head. Name one that has, such as "
            "--base google-bert/bert-base-uncased"
        )
    tokenizer.save_pretrained(folder)
    pieces = _readable(tokenizer, model.config.vocab_size)
    return MaskedModel(
        model=model.eval().to(device),
        tokenizer=Tokenizer(folder / "tokenizer.json"),
        mask_token=tokenizer.mask_token,
        mask_id=tokenizer.mask_token_id,
        pad_id=tokenizer.pad_token_id or 0,
        special_ids=frozenset(tokenizer.all_special_ids),
        max_tokens=longest_input(load_config(base), tokenizer),
        pieces=pieces,
        words=torch.tensor([piece.isalpha() for piece in pieces], device=device),
    )


def _readable(tokenizer: Any, size: int) -> list[str]:
    """What each piece of the vocabulary is as a word of its own; empty where it is none."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    marked = any(piece.startswith(WORD_STARTS) for piece in vocabulary)
    found = [""] * size
    for piece, index in vocabulary.items():
        if index < size and index not in tokenizer.all_special_ids and (not marked or piece.startswith(WORD_STARTS)):
            found[index] = piece[1:] if marked else piece
    return found


@dataclass(frozen=True, slots=True)
class _Masked:
    """A text, the words of it that are masked, in their order, and what it draws from."""

    marked: Marked
    words: list[tuple[int, int]]
    random: Generator


def replace_by_model(
    texts: Sequence[Marked],
    chance: Chance,
    on_done: OnDone,
    *,
    masked_model: MaskedModel,
    share: float,
    top_k: int,
    budget_tokens: int,
) -> list[Marked | None]:
    """A share of each text's words, each drawn from the `top_k` words that the model finds likeliest in its place.

    The word itself is none of them. All masks of a text are filled in one pass, each without knowing of the others.
    A mask behind the tokens that the model reads stays the word that it was.

    Args:
        texts: the texts.
        chance: their random generators.
        on_done: called with how many texts are done.
        masked_model: the model.
        share: of the words, one at least.
        top_k: how many candidates a word has.
        budget_tokens: the most tokens computed at once.

    Returns:
        One text each; None where no word may be changed.
    """
    masked = [_mask(text, chance(i), share, masked_model.mask_token) for i, text in enumerate(texts)]
    asked = [i for i, item in enumerate(masked) if item.words]
    tokens = masked_model.tokenizer.encode(
        [_with_masks(masked[i], masked_model.mask_token) for i in asked], max_tokens=masked_model.max_tokens
    )
    limit = masked_model.max_tokens
    made: list[Marked | None] = [None] * len(texts)
    done = len(texts) - len(asked)
    for batch in token_batches([len(t) for t in tokens], budget_tokens=budget_tokens, max_length=limit):
        items = [masked[asked[i]] for i in batch]
        words = _fill(masked_model, items, [tokens[i] for i in batch], top_k)
        for i, item, new in zip(batch, items, words, strict=True):
            made[asked[i]] = _with_words(item, new)
        done += len(batch)
        on_done(done)
    return made


def _mask(marked: Marked, random: Generator, share: float, mask_token: str) -> _Masked:
    free = free_words(marked)
    if not free or mask_token in marked.text:
        return _Masked(marked, [], random)
    count = min(len(free), words_to_change(len(words_of(marked.text)), share))
    return _Masked(marked, sorted(free[i] for i in random.choice(len(free), count, replace=False)), random)


def _with_masks(item: _Masked, mask_token: str) -> str:
    text = item.marked
    for start, end in reversed(item.words):
        text = replaced(text, start, end, mask_token)
    return text.text


def _fill(masked_model: MaskedModel, items: Sequence[_Masked], tokens: Sequence[Tokens], top_k: int) -> list[list[str]]:
    """For each text the new words of its masks, as far as the model reads."""
    found: list[list[str]] = [[] for _ in items]
    for read in read_masks(masked_model, tokens, top_k + 1):  # one more, for the word itself may be among them
        item, words = items[read.row], found[read.row]
        start, end = item.words[len(words)]
        words.append(_choose(read, item.marked.text[start:end], item.random, masked_model, top_k))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class ReadMask:
    """What a model reads in a mask of the text `row`: pieces that are words with their logits, the likeliest first."""

    row: int
    pieces: list[int]
    logits: NDArray[np.float32]


@torch.inference_mode()
def read_masks(masked_model: MaskedModel, tokens: Sequence[Tokens], count: int) -> list[ReadMask]:
    """The `count` likeliest words in each mask of one batch of texts, in the order of the texts and their masks."""
    arrays = pad(
        tokens,
        pad_id=masked_model.pad_id,
        length=padded_length(max(map(len, tokens)), limit=masked_model.max_tokens),
    )
    device = masked_model.words.device
    names = ("input_ids", "attention_mask", "token_type_ids")
    has_types = getattr(masked_model.model.config, "type_vocab_size", 0) > 1
    inputs = {name: torch.from_numpy(arrays[name]).to(device) for name in names[: 3 if has_types else 2]}
    at_masks = inputs["input_ids"] == masked_model.mask_id
    if not at_masks.any():
        return []
    logits = _logits_at(masked_model.model, inputs, at_masks)
    logits = logits.masked_fill(~masked_model.words, -torch.inf)
    top = logits.topk(min(count, logits.shape[1]))
    rows = at_masks.nonzero()[:, 0].tolist()
    return list(map(ReadMask, rows, top.indices.tolist(), top.values.cpu().numpy()))


def other_words(read: ReadMask, word: str, masked_model: MaskedModel, top_k: int) -> list[int]:
    """The places in `read` of the `top_k` likeliest words that are not `word`."""
    other = word.casefold()
    return [
        i
        for i, piece in enumerate(read.pieces)
        if np.isfinite(read.logits[i]) and masked_model.pieces[piece].casefold() != other
    ][:top_k]


def _choose(read: ReadMask, word: str, random: Generator, masked_model: MaskedModel, top_k: int) -> str:
    """One of the candidates that is another word; the word itself where there is none."""
    others = other_words(read, word, masked_model, top_k)
    if not others:
        return word
    drawn = others[int(draw(read.logits[None, others], [random])[0])]
    return in_case_of(word, masked_model.pieces[read.pieces[drawn]])


def _logits_at(model: Any, inputs: dict[str, Tensor], chosen: Tensor) -> Tensor:
    """The logits of the chosen positions, `[chosen, vocabulary]`.

    The last layer, whose width is the vocabulary's, is computed for these alone: it would take half of the time.
    """
    decoder = model.get_output_embeddings()
    hook = decoder.register_forward_pre_hook(lambda _, arguments: (arguments[0][chosen], *arguments[1:]))
    try:
        logits: Tensor = model(**inputs).logits
    finally:
        hook.remove()
    return logits


def _with_words(item: _Masked, new: Sequence[str]) -> Marked:
    marked = item.marked
    for (start, end), word in reversed(list(zip(item.words, new, strict=False))):  # the masks behind were cut off
        marked = replaced(marked, start, end, word)
    return marked
