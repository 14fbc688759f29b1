"""Every family of encoders that the tests know, as a tiny random model with a tokenizer of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
}
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
Family = tuple[str, dict[str, Any]]
FAMILIES: dict[str, Family] = {
    "bert": ("wordpiece", SIZES),
    "distilbert": (
        "wordpiece",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 66},
    ),
    "electra": ("wordpiece", {**SIZES, "embedding_size": 16}),
    "mpnet": ("wordpiece", SIZES),
    "roberta": ("bytes", SIZES),
    "modernbert": ("bytes", {**SIZES, "global_attn_every_n_layers": 2, "local_attention": 16}),
    "albert": ("unigram", {**SIZES, "embedding_size": 16}),
    "xlm-roberta": ("unigram", SIZES),
    "deberta-v2": (
        "unigram",
        {
            **SIZES,
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "max_relative_positions": -1,
        },
    ),
}


def wordpiece(texts: list[str]) -> tuple[Tokenizer, tuple[str, ...]]:
    """As of BERT."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=150, special_tokens=list(BERT)))
    return tokenizer, BERT


def byte_pairs(texts: list[str]) -> tuple[Tokenizer, tuple[str, ...]]:
    """As of RoBERTa: spaces belong to the pieces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=list(ROBERTA), initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer, ROBERTA


def unigram(texts: list[str]) -> tuple[Tokenizer, tuple[str, ...]]:
    """As of SentencePiece."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=list(ROBERTA), unk_token="<unk>")
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer, ROBERTA


TOKENIZERS = {"wordpiece": wordpiece, "bytes": byte_pairs, "unigram": unigram}


def make_base(family: str, texts: list[str], folder: Path) -> Path:
    """A random encoder of `family` with a tokenizer of its kind."""
    kind, sizes = FAMILIES[family]
    tokenizer, special = TOKENIZERS[kind](texts)
    names = ("pad", "unk", "cls", "sep", "mask") if special == BERT else ("cls", "pad", "sep", "unk", "mask")
    by_name = dict(zip(names, special, strict=True))
    first, last = by_name["cls"], by_name["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **{f"{name}_token": token for name, token in by_name.items()}
    )
    wrapped.save_pretrained(folder)
    ids = {f"{name}_token_id": tokenizer.token_to_id(by_name[of]) for name, of in TOKEN_IDS.items()}
    config = AutoConfig.for_model(family, vocab_size=tokenizer.get_vocab_size(), initializer_range=0.1, **sizes, **ids)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    return folder


TOKEN_IDS = {"pad": "pad", "bos": "cls", "eos": "sep", "cls": "cls", "sep": "sep"}
