"""AdamW with decoupled decay, a linear schedule, and what is frozen."""

from __future__ import annotations

import torch
from torch import nn

from limbeck.errors import UsageError
from limbeck.nn.model import TextModel


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, object]]:
    """Trainable parameters in two groups: decayed matrices, and biases and norms without decay.

    Biases and norm weights are the one-dimensional parameters (Devlin et al. 2019 exclude them by name).
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


def make_optimizer(model: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), fused: on CPUs a fifth of the default's time a step."""
    groups = parameter_groups(model, weight_decay=weight_decay)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)


def linear_schedule(step: int, *, steps: int, warmup_steps: int) -> float:
    """The factor on the learning rate at `step` (from 0): linear up to 1 over the warm-up, then linear down to 0."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return max(0.0, (steps - step) / max(1, steps - warmup_steps))


def freeze(model: TextModel, *, embeddings: bool = False, train_last: int | None = None) -> int:
    """Freeze the embeddings, or all but the last `train_last` layers; returns the number of parameters left to train.

    Raises `UsageError` when the encoder has fewer layers than that.
    """
    encoder = model.encoder
    if embeddings or train_last is not None:
        encoder.embeddings.requires_grad_(False)
    if train_last is not None:
        layers = encoder_layers(model)
        if not 0 <= train_last <= len(layers):
            raise UsageError(f"--train-last {train_last}: the encoder has {len(layers)} layers")
        for layer in layers[: len(layers) - train_last]:
            layer.requires_grad_(False)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def encoder_layers(model: TextModel) -> list[nn.Module]:
    """The encoder's layers from the input up: the longest `ModuleList` in it."""
    lists = [list(module) for module in model.encoder.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])
