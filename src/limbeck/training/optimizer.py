"""AdamW with decoupled decay, a linear schedule, and what is frozen."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from limbeck.errors import UsageError
from limbeck.nn.model import TextModel

_AFTER_LAYERS = ("pooler", "final_norm")


def parameter_groups(model: TextModel, *, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
    """Trainable parameters in groups: decayed matrices apart from biases and norms, and one such pair for each depth.

    Biases and norm weights are the one-dimensional parameters (Devlin et al. 2019 exclude them by name). A group's
    `lr_factor` is `layer_decay` to the power of its distance from the head (Howard and Ruder 2018): 0 above the layers,
    1 for the last of them, and so on down to the embeddings.
    """
    distances = _distances(model) if layer_decay != 1 else {}
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            distance, decays = distances.get(id(parameter), 0), parameter.ndim > 1
            fresh = {
                "params": [],
                "weight_decay": weight_decay if decays else 0.0,
                "lr_factor": layer_decay**distance,
            }
            groups.setdefault((distance, decays), fresh)["params"].append(parameter)
    return list(groups.values())


def _distances(model: TextModel) -> dict[int, int]:
    """How many layers lie between each parameter, by its `id`, and the head."""
    layers = encoder_layers(model)
    below = [*reversed(layers), model.encoder.embeddings]
    return {id(p): distance for distance, part in enumerate(below, start=1) for p in part.parameters()}


def make_optimizer(
    model: TextModel, *, learning_rate: float, weight_decay: float, layer_decay: float = 1.0
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), fused: on CPUs a fifth of the default's time a step."""
    groups = parameter_groups(model, weight_decay=weight_decay, layer_decay=layer_decay)
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
            raise UsageError(f"--train-last {train_last}: expected 0 to {len(layers)}, the layers of this encoder")
        encoder.requires_grad_(False)  # what layers share too, such as positions and the map behind the embeddings
        for module in (*layers[len(layers) - train_last :], *after_layers(model)):
            module.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def parts_below_the_head(model: TextModel) -> list[list[nn.Parameter]]:
    """The trainable parameters of each layer from the last one down, then of the embeddings; no empty part."""
    modules = [*reversed(encoder_layers(model)), model.encoder.embeddings]
    parts = [[p for p in module.parameters() if p.requires_grad] for module in modules]
    return [part for part in parts if part]


def unfreeze_gradually(parts: list[list[nn.Parameter]], *, step: int, per_epoch: int) -> None:
    """Leave as many of `parts`, from the first, to train as is their turn at `step` (from 0): gradual unfreezing.

    Howard and Ruder (2018) let one more layer train after each epoch. Here the whole encoder trains after the first
    epoch, since three are usual: at its start the head alone, and one part more after each equal share of it.
    """
    turn = step * len(parts) // per_epoch
    for index, part in enumerate(parts):
        for parameter in part:
            parameter.requires_grad_(index < turn)


def after_layers(model: TextModel) -> list[nn.Module]:
    """What the encoder has that reads its last layer."""
    found = (getattr(model.encoder, name, None) for name in _AFTER_LAYERS)
    return [module for module in found if module is not None]


def encoder_layers(model: TextModel) -> list[nn.Module]:
    """The encoder's layers from the input up: the longest `ModuleList` in it."""
    lists = [list(module) for module in model.encoder.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])
