"""What `bench` measured."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.measure.machine import Machine


@dataclass(frozen=True, slots=True)
class Shares:
    """Where the time went, in shares of 1.

    `tokenising`, `computing` what counts, computing `padding`, `decoding`, and `waiting`: what is between them.
    """

    tokenising: float
    computing: float
    padding: float
    decoding: float
    waiting: float


@dataclass(frozen=True, slots=True)
class Timing:
    """`rows` texts answered by `variant` in one way.

    `single`: one after another; `batch 32`: so many in file order, padded to their longest; `full`: all in one batch;
    `auto`: as `predict` does. `padding` is the share of computed tokens that is padding. `p50_ms` to `p99_ms` are those
    of one text, in the way `single`. `same_answers` is a peer's share of texts with the label that `predict` gives.
    What is not known of a peer is None.
    """

    variant: str
    way: str
    rows: int
    seconds: float
    rows_per_second: float
    tokens_per_second: float | None = None
    padding: float | None = None
    shares: Shares | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    same_answers: float | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A variant as a program: seconds and memory of `limbeck predict` from nothing, for one text and for all."""

    variant: str
    one_seconds: float
    one_peak_bytes: int
    all_seconds: float
    all_peak_bytes: int


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was measured.

    `rows` were timed and `left_out` are bad ones among them. `tokens` is how many the texts have in all, `operations`
    the matrix work of all layers over them without padding (None for an encoder that does not name its sizes). `peaks`
    are operations a second of this machine's fastest product, by precision, and `share_of_peak` what of it a variant
    reached in the way `auto`. `chosen` answers in `predict`; where none is chosen it is the first that was named.
    """

    bundle: str
    data: str
    machine: Machine
    rows: int
    left_out: int
    tokens: int
    operations: float | None
    peaks: dict[str, float]
    share_of_peak: dict[str, float]
    timings: tuple[Timing, ...]
    programs: tuple[Program, ...]
    chosen: str
    advice: tuple[str, ...]
    page: str | None
