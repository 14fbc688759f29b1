"""What runs a compiled variant: arrays in, arrays out. One file an engine."""

from limbeck.engines.base import Engine, compute_logits

__all__ = ["Engine", "compute_logits"]
