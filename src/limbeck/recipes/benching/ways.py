"""The ways to answer many texts that `bench` times, and where the time of each goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from limbeck.engines import Engine
from limbeck.engines.base import Arrays, most_units, per_unit
from limbeck.measure.benchmark import Shares, Timing
from limbeck.predictor import Predictor, Text
from limbeck.text import pad

MOST_TOKENS_AT_ONCE = 65_536  # of a batch of all rows; more of them would fill the memory of small machines


@dataclass
class ClockedEngine:
    """An engine that counts the seconds and the tokens it computes."""

    engine: Engine
    seconds: float = 0.0
    computed: int = 0
    useful: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self) -> None:
        """Count from nothing."""
        self.seconds, self.computed, self.useful = 0.0, 0, 0

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """As the engine does."""
        start = time.perf_counter()
        logits = self.engine.run(inputs)
        taken = time.perf_counter() - start
        mask = inputs["attention_mask"]
        with self._lock:
            self.seconds += taken
            self.computed += mask.size
            self.useful += int(mask.sum())
        return logits


def time_auto(predictor: Predictor, clock: ClockedEngine, texts: Sequence[Text]) -> Timing:
    """Answer all texts as `predict` does: by length, under a token budget, equal ones once."""
    start = time.perf_counter()
    prepared = predictor.prepare(texts)
    tokenised = time.perf_counter()
    logits = predictor.logits(prepared.tokens)
    computed = time.perf_counter()
    predictor.decode(prepared, logits)
    end = time.perf_counter()
    return _timing(
        predictor,
        "auto",
        clock,
        len(texts),
        end - start,
        tokenising=tokenised - start,
        computing=min(computed - tokenised, clock.seconds / predictor.settings.streams),
        decoding=end - computed,
    )


def time_batches(predictor: Predictor, clock: ClockedEngine, texts: Sequence[Text], size: int, way: str) -> Timing:
    """Answer `size` texts at a time, in their order, padded to the longest of each batch."""
    tokenising = decoding = 0.0
    each = []
    start = time.perf_counter()
    for first in range(0, len(texts), size):
        begin = time.perf_counter()
        prepared = predictor.prepare(texts[first : first + size])
        tokenised = time.perf_counter()
        tokens = prepared.tokens
        arrays = pad(tokens, pad_id=predictor.model.pad_id, length=max(map(len, tokens)))
        logits = per_unit(clock.run(arrays), tokens, most_units(tokens))
        computed = time.perf_counter()
        predictor.decode(prepared, logits)
        end = time.perf_counter()
        tokenising += tokenised - begin
        decoding += end - computed
        each.append(end - begin)
    seconds = time.perf_counter() - start
    percentiles = np.percentile(np.array(each) * 1000, [50, 95, 99]) if size == 1 else ()
    return _timing(
        predictor,
        way,
        clock,
        len(texts),
        seconds,
        tokenising=tokenising,
        computing=clock.seconds,
        decoding=decoding,
        percentiles=[float(p) for p in percentiles],
    )


def _timing(
    predictor: Predictor,
    way: str,
    clock: ClockedEngine,
    rows: int,
    seconds: float,
    *,
    tokenising: float,
    computing: float,
    decoding: float,
    percentiles: Sequence[float] = (),
) -> Timing:
    padding = 1 - clock.useful / clock.computed if clock.computed else 0.0
    waiting = max(0.0, seconds - tokenising - computing - decoding)
    useful = computing * (1 - padding)
    parts = np.array([tokenising, useful, computing - useful, decoding, waiting]) / seconds
    return Timing(
        predictor.variant.name,
        way,
        rows,
        seconds,
        rows / seconds,
        clock.useful / seconds,
        padding,
        Shares(*(float(part) for part in parts)),
        *(percentiles or (None, None, None)),
    )
