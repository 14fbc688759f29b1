"""`augment --method tinybert`: batched, a sentence at a time, and a word at a time by transformers' `fill-mask`.

    python benchmarks/augmentation.py DATA [ROWS]

Each makes COPIES rows of each of the first ROWS texts. The program published with TinyBERT reads a word at a time too.
The masked language model is MiniLM with a random head: its words are nonsense, and as fast as any. `fill-mask` reads
the words of a share of the sentences, and only reads: nothing is put into the texts.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from common import BASE, show, texts_and_labels
from transformers import AutoModelForMaskedLM, pipeline

from limbeck.augmentation.masked import MaskedModel, load_masked_model
from limbeck.augmentation.synonyms import may_change
from limbeck.augmentation.tinybert import CANDIDATES, PROBABILITY, replace_each
from limbeck.augmentation.words import Marked, words_of
from limbeck.measure import usable_cpus
from limbeck.nn.base import load_tokenizer, quiet_loading
from limbeck.nn.resolve import resolve_base

COPIES = 10
PEER_SHARE = 4  # the peer reads one sentence in so many


def main(data: str, rows: str = "200") -> None:
    """Time the three ways over the same texts, and print rows made a second."""
    torch.set_num_threads(usable_cpus())
    texts, _ = texts_and_labels(Path(data), int(rows))
    with tempfile.TemporaryDirectory() as folder, quiet_loading():
        _save_model(Path(folder))
        model = load_masked_model(folder, Path(folder), torch.device("cpu"))
        fill_mask = pipeline("fill-mask", folder, top_k=CANDIDATES, device="cpu")
    few = texts[::PEER_SHARE]

    def peer() -> None:
        for text in _masked(few, model):
            fill_mask(text)

    copies = [[Marked(text)] * COPIES for text in texts]
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "limbeck, batched": (lambda: _made([text for own in copies for text in own], model), len(texts)),
        "limbeck, a sentence at a time": (lambda: [_made(own, model) for own in copies], len(texts)),
        "transformers fill-mask, a word at a time": (peer, len(few)),
    }
    speed = {}
    for name, (run, count) in ways.items():
        start = time.perf_counter()
        run()
        speed[name] = count * COPIES / (time.perf_counter() - start)
    batched = speed["limbeck, batched"]
    table = [(name, value, batched / value) for name, value in speed.items()]
    words = sum(1 for _ in _masked(texts, model)) / len(texts)
    show(
        f"augmentation: {COPIES} copies of {len(texts)} texts, {words:.1f} words to mask in each",
        ["way", "rows/s", "batched is faster by"],
        table,
        rows_per_second=speed,
    )


def _save_model(folder: Path) -> None:
    base = resolve_base(BASE)
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_pretrained(base).save_pretrained(folder)
    load_tokenizer(base).save_pretrained(folder)


def _made(texts: list[Marked], model: MaskedModel) -> list[Marked | None]:
    return replace_each(
        texts,
        np.random.default_rng,
        lambda done: None,
        masked_model=model,
        synonyms={},
        share=PROBABILITY,
        top_k=CANDIDATES,
        budget_tokens=8192,
    )


def _masked(texts: list[str], model: MaskedModel) -> Iterator[str]:
    """Each text with each of its words masked that is one piece, alone."""
    for text in texts:
        for start, end in words_of(text):
            word = text[start:end]
            if may_change(word.lower()) and len(model.tokenizer.pieces([word])[0]) == 1:
                yield text[:start] + model.mask_token + text[end:]


if __name__ == "__main__":
    main(*sys.argv[1:])
