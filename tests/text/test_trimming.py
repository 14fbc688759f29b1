from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, processors

from families import BERT, ROBERTA, TOKENIZERS
from limbeck.errors import UsageError
from limbeck.text import Trimmed, trim_tokenizer, unknown_id

WORDS = ("banana", "bandana", "cabana", "an", "ban", "nab", "abandon", "dandy", "and", "day", "data", "coda", "soda")
TEXTS = [" ".join(WORDS[i : i + 4]) for i in range(len(WORDS))] * 3
KINDS = sorted(TOKENIZERS)
spoken = st.lists(st.one_of(st.sampled_from(WORDS), st.text("abcdnosty", min_size=1, max_size=9)), min_size=1).map(
    " ".join
)


@cache
def whole(kind: str) -> Tokenizer:
    tokenizer, special = TOKENIZERS[kind](TEXTS)
    first, last = ("[CLS]", "[SEP]") if special == BERT else ("<s>", "</s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B {last}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    return tokenizer


def trimmed(kind: str, texts: list[str]) -> tuple[Trimmed, Tokenizer]:
    used = {i for text in texts for i in whole(kind).encode(text).ids}
    found = trim_tokenizer(whole(kind).to_str(), used)
    return found, Tokenizer.from_str(found.content)


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(spoken, min_size=1, max_size=4), other=spoken)
def test_texts_in_use_are_split_as_before_and_others_can_be_read(kind: str, texts: list[str], other: str) -> None:
    found, tokenizer = trimmed(kind, texts)
    for text in texts:
        before, after = whole(kind).encode(text, text), tokenizer.encode(text, text)
        assert after.tokens == before.tokens
        assert found.kept[after.ids].tolist() == before.ids
    after = tokenizer.encode(other)
    assert after.offsets[-2][1] == len(other)
    unknown = unknown_id(found.content)
    assert (unknown in after.ids) == (unknown_id(whole(kind).to_str()) in whole(kind).encode(other).ids)
    assert whole(kind).decode(found.kept[after.ids].tolist()) == tokenizer.decode(after.ids)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stays(kind: str) -> None:
    found, tokenizer = trimmed(kind, ["banana"])
    before = whole(kind)
    assert tokenizer.get_vocab_size() == len(found.kept) < before.get_vocab_size()
    special = BERT if kind == "wordpiece" else ROBERTA
    for token in special:
        assert found.kept[tokenizer.token_to_id(token)] == before.token_to_id(token)
        assert found.number(before.token_to_id(token)) == tokenizer.token_to_id(token)
    single = {piece for piece in before.get_vocab() if len(piece.removeprefix("##")) == 1}
    assert single <= tokenizer.get_vocab().keys()
    assert before.encode("bandana").ids != found.kept[tokenizer.encode("bandana").ids].tolist()
    again = trim_tokenizer(found.content, range(len(found.kept)))
    assert np.array_equal(again.kept, np.arange(len(found.kept)))
    assert json.loads(again.content) == json.loads(found.content)


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing"])
def test_other_ways_to_put_special_tokens_around(kind: str) -> None:
    tokenizer = Tokenizer.from_str(whole("wordpiece").to_str())
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.Sequence([getattr(processors, kind)(*ends)])
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    found = trim_tokenizer(tokenizer.to_str(), tokenizer.encode("coda").ids)
    assert Tokenizer.from_str(found.content).encode("coda").tokens == tokenizer.encode("coda").tokens


@pytest.mark.parametrize(
    "model", [models.WordLevel({"a": 0}, unk_token="a"), models.BPE({"a": 0}, [], end_of_word_suffix="</w>")]
)
def test_kinds_that_cannot_be_cut(model: models.Model) -> None:
    with pytest.raises(UsageError, match="expected a tokenizer of the kind WordPiece, Unigram or BPE without affixes"):
        trim_tokenizer(Tokenizer(model).to_str(), [0])
