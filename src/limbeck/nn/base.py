"""The configuration and the tokenizer of the encoder to start from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging as transformers_logging

from limbeck.errors import BaseModelError

COUNT_FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")
"""Families whose first position is the one after the number of the padding token."""
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")


def load_config(source: str, **changes: Any) -> Any:
    """The base's configuration. Raises `BaseModelError` where there is none to load."""
    return _from_pretrained(AutoConfig, source, **changes)


def load_tokenizer(source: str) -> Any:
    """The base's fast tokenizer. Raises `BaseModelError` where there is none to load."""
    if Path(source).is_dir() and not any((Path(source) / name).is_file() for name in _TOKENIZER_FILES):
        # transformers would make up an empty vocabulary, and every word would be unknown.
        raise BaseModelError(f"{source} has no tokenizer: expected one of {', '.join(_TOKENIZER_FILES)}")
    tokenizer = _from_pretrained(AutoTokenizer, source, use_fast=True)
    if not tokenizer.is_fast:
        raise BaseModelError(f"{source}: its tokenizer has no tokenizer.json form, which production needs")
    return tokenizer


def _from_pretrained(kind: Any, source: str, **arguments: Any) -> Any:
    try:
        return kind.from_pretrained(source, **arguments)
    except (OSError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise BaseModelError(
            f"cannot load {source!r}: {first_line} "
            "Expected a hub id that this machine can reach, a folder, or package:NAME/path."
        ) from error


def longest_input(config: Any, tokenizer: Any) -> int:
    """The most tokens the encoder reads, special tokens included; 512 where nothing states it.

    RoBERTa counts positions from its padding id on, so its table is `padding_idx + 1` longer than what it reads.
    """
    positions = getattr(config, "max_position_embeddings", None) or 512
    if getattr(config, "model_type", "") in COUNT_FROM_PADDING:
        positions -= 2
    stated = tokenizer.model_max_length
    return int(min(positions, stated)) if stated and stated < 1_000_000 else int(positions)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Without the library's progress bars and its report of weights that a fresh head was expected to lack."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
