"""What a training loop is asked to do, and how many steps that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limbeck.training.adversarial import Adversary


@dataclass(frozen=True, slots=True)
class Plan:
    """The arguments of a training loop; see `limbeck.train` for their meaning."""

    epochs: int
    batch: int
    learning_rate: float
    accumulate: int = 1
    warmup: float = 0.1
    weight_decay: float = 0.01
    layer_decay: float = 1.0
    ema: float = 0.0
    unfreeze_gradually: bool = False
    balance_labels: bool = False
    label_smoothing: float = 0.0
    r_drop: float = 0.0
    adversary: Adversary | None = None
    max_grad_norm: float = 1.0
    patience: int = 4
    budget_tokens: int = 8192
    seed: int = 0
    checkpoint_seconds: float = 120.0


def steps_per_epoch(rows: int, plan: Plan) -> int:
    """Optimizer steps in one pass over `rows` rows."""
    return math.ceil(math.ceil(rows / plan.batch) / plan.accumulate)


def evaluation_interval(per_epoch: int) -> int:
    """Steps between two evaluations: an epoch, or the even part of one that is nearest to a thousand steps."""
    return math.ceil(per_epoch / max(1, round(per_epoch / 1000)))
