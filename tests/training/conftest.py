"""Rows for training loops: a small corpus whose label shows in its words."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from limbeck.nn.model import TextModel, new_model
from limbeck.tasks import Classify
from limbeck.text import Tokenizer, Tokens

MakeModel = Callable[..., TextModel]
TASK = Classify(("negative", "positive"))


@dataclass(frozen=True)
class Corpus:
    """Tokenised rows of different lengths with their targets."""

    rows: list[Tokens]
    targets: Tensor

    def first(self, rows: int) -> Corpus:
        """Only so many rows."""
        return Corpus(self.rows[:rows], self.targets[:rows])


@pytest.fixture(scope="session")
def corpus(reviews_csv: Path, tokenizer_file: Path) -> Corpus:
    """The reviews."""
    with reviews_csv.open(encoding="utf-8", newline="") as file:
        texts, labels = zip(*((row["text"], row["label"]) for row in csv.DictReader(file)), strict=True)
    rows = Tokenizer(tokenizer_file).encode(texts, max_tokens=32)
    return Corpus(rows, torch.from_numpy(TASK.encode(labels)))


@pytest.fixture(scope="session")
def make_model(tiny_base: Path) -> MakeModel:
    """Makes the tiny model with a fresh head, the same for the same seed."""

    def make(*, seed: int = 0, dropout: float = 0.0) -> TextModel:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return new_model(str(tiny_base), TASK, dropout=dropout)

    return make
