"""How an engine is run on a machine, and the same for batches and for single texts until someone measured it."""

from __future__ import annotations

from typing import Literal

import msgspec

from limbeck.text.batches import ROUND_TO

BATCH_COST = 16  # of 8 to 1,024 among the best in CPU time: sentences of SST-2, MiniLM-L6 in int8, one thread
BUDGET_TOKENS = 4096  # of a batch, padding included: measured best between 2,048 and 8,192 on two cores


Device = Literal["cpu", "cuda"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What speed hangs on and answers do not, but by rounding.

    `threads` compute in all, None for what the CPU quota and affinity allow; `streams` batches are computed at once,
    each on its share of the threads. A batch holds at most `budget_tokens`, padding included, and lengths are padded up
    to a multiple of `round_to`, a power of two. A further batch is thought to cost as much as `batch_cost` tokens. ONNX
    Runtime's threads wait for work in a loop where `spinning`, else they sleep. All but `device` is for CPUs.
    """

    device: Device = "cpu"
    threads: int | None = None
    streams: int = 1
    budget_tokens: int = BUDGET_TOKENS
    round_to: int = ROUND_TO
    batch_cost: int = BATCH_COST
    spinning: bool = True


DEFAULT = Settings()
