"""What runs a compiled variant: arrays in, arrays out. One file an engine."""

from limbeck.engines.base import Engine, compute_logits
from limbeck.engines.settings import Settings

__all__ = ["Engine", "Settings", "compute_logits"]
