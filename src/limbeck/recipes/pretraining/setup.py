"""What a pretraining starts from: a vocabulary, a model, the masks, and text packed into sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import BertTokenizer

from limbeck.console import say, stage
from limbeck.data import Corpus
from limbeck.data.corpus import Passage
from limbeck.errors import BaseModelError, DataError
from limbeck.nn.base import load_tokenizer
from limbeck.nn.language_model import POSITIONS, Shape, Started, new_language_model
from limbeck.text import Packed, Tokenizer, learn_vocabulary, pack, pack_pairs, tokenize_documents
from limbeck.training.masking import Masking

MIN_SEQUENCES, MAX_JUDGED = 10, 1_000


def vocabulary_of(corpus: Corpus, size: int, cased: bool, folder: Path) -> str:
    """The folder of a tokenizer learnt from the text to train on; one that a stopped run has left is taken as it is."""
    if not folder.is_dir():
        with stage("Learning the vocabulary"):
            learnt = learn_vocabulary([p.text for p in corpus.train], size=size, cased=cased)
            if len(learnt) < size:
                say(f"  {len(learnt):,} entries: the text has no more pieces that occur twice")
            beside = folder.with_name(f"{folder.name}.partial")
            BertTokenizer(vocab=learnt, do_lower_case=not cased, model_max_length=POSITIONS).save_pretrained(beside)
            beside.rename(folder)
    return str(folder)


def from_nothing(shape: Shape, source: str, next_sentence: bool, dropout: float) -> Started:
    """A model of random weights with the vocabulary in the folder `source`."""
    entries = load_tokenizer(source)
    return new_language_model(
        shape, vocabulary_size=len(entries), pad_id=entries.pad_token_id, next_sentence=next_sentence, dropout=dropout
    )


def masking_of(source: str, whole_words: bool) -> Masking:
    """The masks of a base's tokenizer.

    Raises `BaseModelError` for a tokenizer that has no mask.
    """
    tokenizer = load_tokenizer(source)
    if tokenizer.mask_token_id is None:
        raise BaseModelError(f"the tokenizer of {source} has no mask token, which masked language modelling needs")
    special = set(tokenizer.all_special_ids)
    ordinary = [i for i in sorted(tokenizer.get_vocab().values()) if i not in special]
    return Masking(tokenizer.mask_token_id, torch.tensor(ordinary), whole_words)


def packed_text(
    corpus: Corpus, tokenizer: Tokenizer, max_tokens: int, next_sentence: bool, seed: int
) -> tuple[Packed, Packed]:
    """The text to train on, and that to judge by, as sequences. Raises `DataError` where there is too little."""

    def packed(passages: Sequence[Passage]) -> Packed:
        documents = tokenize_documents(tokenizer, [(p.text, p.follows) for p in passages])
        if not next_sentence:
            return pack(tokenizer, documents, max_tokens=max_tokens)
        if len(documents) < 2:
            raise DataError("--next-sentence takes wrong continuations from other texts: expected two texts or more")
        return pack_pairs(tokenizer, documents, max_tokens=max_tokens, seed=seed)

    train, held_out = packed(corpus.train), packed(corpus.held_out).at_most(MAX_JUDGED)
    if len(train) < MIN_SEQUENCES or not len(held_out):
        raise DataError(
            f"{len(train)} sequences of at most {max_tokens} tokens to train on and {len(held_out)} held out: expected "
            f"at least {MIN_SEQUENCES} and 1. Add text."
        )
    return train, held_out
