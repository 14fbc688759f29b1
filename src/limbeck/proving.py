"""Hold a loaded engine against the reference on held-out rows: everything a certificate states, in one place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from limbeck.bundle import Model
from limbeck.data.sampling import evenly
from limbeck.engines import Engine, compute_logits
from limbeck.engines.base import most_units, per_unit
from limbeck.measure import Certificate, Speed, certify, race, rows_per_second, single_ms, stability, this_machine
from limbeck.measure.race import MOST_TURNS
from limbeck.predictor import labelled_logits
from limbeck.tasks import AnyTask, Logits
from limbeck.text import Tokens, pad

TIMED_ROWS, TIMED_TOKENS = 256, 24_000  # a sample that takes a second or two, however long the texts are
SINGLE_RUNS = 60


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows to judge by: `tokens` (windows of a text stand together), `targets` `[rows]`, `sha256` naming the rows."""

    tokens: list[Tokens]
    targets: NDArray[np.generic]
    sha256: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A compiled variant that is to be proven."""

    name: str
    engine: str
    precision: str
    size_bytes: int
    remedies: tuple[str, ...] = ()


def held_out_logits(engine: Engine, held_out: HeldOut, task: AnyTask, model: Model) -> Logits:
    """Logits `[rows, outputs]`, windows merged."""
    found = compute_logits(engine.run, held_out.tokens, pad_id=model.pad_id, max_tokens=model.max_tokens)
    return labelled_logits(task, held_out.tokens, found)


def prove(
    candidate: Candidate,
    engine: Engine,
    held_out: HeldOut,
    reference: Logits,
    *,
    task: AnyTask,
    model: Model,
    max_drop: float,
) -> Certificate:
    """Measure accuracy, parity, stability and speed of `engine` and certify them.

    Raises `CheckFailed` when a logit is not a finite number.
    """

    width = most_units(held_out.tokens)

    def run_padded(rows: Sequence[Tokens], *, pad_to: int | None) -> Logits:
        length = pad_to or max(len(row) for row in rows)
        return per_unit(engine.run(pad(rows, pad_id=model.pad_id, length=length)), rows, width)

    logits = held_out_logits(engine, held_out, task, model)
    return certify(
        variant=candidate.name,
        engine=candidate.engine,
        precision=candidate.precision,
        reference_logits=reference,
        logits=logits,
        predictions=task.predictions,
        reference_evidence=task.evidence(reference, held_out.targets),
        evidence=task.evidence(logits, held_out.targets),
        metric=task.metric_of,
        metric_name=task.metric,
        max_drop_points=max_drop,
        data_sha256=held_out.sha256,
        stability=stability(
            run_padded,
            held_out.tokens,
            [len(row) for row in held_out.tokens],
            predictions=task.predictions,
            max_length=model.max_tokens,
        ),
        speed=measure_speed(engine, held_out.tokens, model),
        size_bytes=candidate.size_bytes,
        machine=this_machine(),
        remedies=candidate.remedies,
    )


def measure_speed(engine: Engine, tokens: Sequence[Tokens], model: Model) -> Speed:
    """Rows a second in batches of like length, and milliseconds for one row alone, on a sample of `tokens`."""
    sample = timed_sample(tokens)
    singles = evenly(sample, SINGLE_RUNS)

    def batches() -> int:
        return len(compute_logits(engine.run, sample, pad_id=model.pad_id, max_tokens=model.max_tokens))

    def one(index: int) -> Logits:
        row = singles[index % len(singles)]
        return engine.run(pad([row], pad_id=model.pad_id, length=len(row)))

    alone = single_ms(one, SINGLE_RUNS)
    return Speed(
        rows_per_second=rows_per_second(batches),
        single_ms=alone.median_ms,
        single_p95_ms=alone.p95_ms,
        rows=len(sample),
    )


def race_engines(
    engines: Sequence[Engine],
    tokens: Sequence[Tokens],
    model: Model,
    *,
    singles: bool = False,
    most_turns: int = MOST_TURNS,
) -> list[float]:
    """Rows a second of each engine over the same sample of `tokens`, in batches or one by one, timed in turn."""
    sample = timed_sample(tokens)

    def batches(engine: Engine) -> int:
        return len(compute_logits(engine.run, sample, pad_id=model.pad_id, max_tokens=model.max_tokens))

    def one_by_one(engine: Engine) -> int:
        return len([engine.run(pad([t], pad_id=model.pad_id, length=len(t))) for t in evenly(sample, SINGLE_RUNS)])

    return race([partial(one_by_one if singles else batches, engine) for engine in engines], most_turns=most_turns)


def timed_sample(tokens: Sequence[Tokens]) -> list[Tokens]:
    """Rows from all over: windows of a text stand together, and so do all first texts of pairs to embed."""
    mean = sum(map(len, tokens)) / len(tokens)
    return evenly(tokens, min(TIMED_ROWS, math.ceil(TIMED_TOKENS / mean)))
