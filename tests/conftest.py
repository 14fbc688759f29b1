"""Small things that many tests need, made on the spot: no network, fixed seeds."""

from __future__ import annotations

import csv
import os
import random
import string
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub

import pytest
import torch
from hypothesis import settings
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

torch.set_num_threads(1)  # tiny matrices: threads would only wait for one another

settings.register_profile("limbeck", derandomize=True, deadline=None, database=None, max_examples=60)
settings.load_profile("limbeck")

GOOD = ("good", "great", "fine", "lovely", "wonderful", "bright")
BAD = ("bad", "poor", "dull", "awful", "dreadful", "tedious")
NEUTRAL = (
    *("the", "a", "film", "movie", "book", "story", "music", "plot", "actor", "scene", "was", "is", "and", "with"),
    *("very", "quite", "rather", "this", "that", "it", "one", "of", "in", "on", "for", "to", "we", "they", "i", "you"),
    *("not", "but", "long", "short", "new", "old", "first", "last", "watched", "read", "found", "thought", "day"),
)
QUESTION = "was it good"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def word_piece() -> Tokenizer:
    """A BERT tokenizer in whose vocabulary every ASCII letter, digit and punctuation mark can be spelled out."""
    characters = string.ascii_lowercase + string.digits
    entries = [
        *SPECIAL,
        *dict.fromkeys((*NEUTRAL, *GOOD, *BAD)),
        *(c for c in characters if c not in NEUTRAL),
        *(f"##{c}" for c in characters),
        *string.punctuation,
    ]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random BERT: 2 layers, hidden size 32, 4 heads, reads 64 tokens; with its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny_base")
    tokenizer = word_piece()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    wrapped.save_pretrained(folder)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.1,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer_file(tiny_base: Path) -> Path:
    """The `tokenizer.json` of `tiny_base`."""
    return tiny_base / "tokenizer.json"


def review(choose: random.Random, words: tuple[str, ...]) -> str:
    """A sentence of 4 to 24 words, about a third of them from `words`."""
    length = choose.randint(4, 24)
    spoken = choose.choices(NEUTRAL, k=length)
    for place in choose.sample(range(length), max(1, length // 3)):
        spoken[place] = choose.choice(words)
    return " ".join(spoken)


@pytest.fixture(scope="session")
def reviews_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 different reviews, `text` and `label` (`positive` or `negative`) by the words in them, half of each."""
    choose = random.Random(7)
    rows: dict[str, str] = {}
    while len(rows) < 200:
        label, words = (("positive", GOOD), ("negative", BAD))[len(rows) % 2]
        rows.setdefault(review(choose, words), label)
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(rows.items())
    return path
