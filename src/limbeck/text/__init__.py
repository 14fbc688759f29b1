"""Text to token ids: the tokenizer, windows, batches by length."""

from limbeck.text.batches import pad, padded_length, token_batches, training_batches
from limbeck.text.lengths import LengthStatistics, length_histogram, length_statistics, suggest_max_tokens
from limbeck.text.packing import NO_WORD, Document, Packed, pack, pack_pairs, tokenize_documents
from limbeck.text.tokenizer import OnLong, Tokenizer, Tokens, UnitKind, unit_spans
from limbeck.text.trimming import Trimmed, trim_tokenizer, unknown_id
from limbeck.text.units import Spans
from limbeck.text.word_piece import learn_vocabulary

__all__ = [
    "NO_WORD",
    "Document",
    "LengthStatistics",
    "OnLong",
    "Packed",
    "Spans",
    "Tokenizer",
    "Tokens",
    "Trimmed",
    "UnitKind",
    "learn_vocabulary",
    "length_histogram",
    "length_statistics",
    "pack",
    "pack_pairs",
    "pad",
    "padded_length",
    "suggest_max_tokens",
    "token_batches",
    "tokenize_documents",
    "training_batches",
    "trim_tokenizer",
    "unit_spans",
    "unknown_id",
]
