"""The frozen lowest layers of an encoder: what they give for a text is the same in every epoch, and may be kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.nn.model import TextModel
from limbeck.training.kept import Kept
from limbeck.training.optimizer import after_layers, encoder_layers

# What a configuration says of the head, or of where it is from.
_OF_THE_HEAD = ("id2label", "label2id", "problem_type", "architectures", "_name_or_path", "dtype")


def frozen_layers(model: TextModel) -> list[nn.Module]:
    """The encoder's layers from the input up whose output no training can change: nothing learns in or below them."""
    layers = encoder_layers(model)
    if len(layers) != model.config.num_hidden_layers:  # ALBERT's are one and the same
        return []
    above = {id(p) for module in (*layers, *after_layers(model)) for p in module.parameters()}
    if any(p.requires_grad and id(p) not in above for p in model.encoder.parameters()):
        return []
    return list(takewhile(lambda layer: not any(p.requires_grad for p in layer.parameters()), layers))


def frozen_sha256(model: TextModel) -> str:
    """The SHA-256 of what the frozen layers compute: the encoder's configuration and all weights that do not learn."""
    described = {k: v for k, v in model.config.to_dict().items() if k not in _OF_THE_HEAD and "dropout" not in k}
    digest = hashlib.sha256(json.dumps([transformers.__version__, described], sort_keys=True, default=str).encode())
    for name, parameter in model.encoder.named_parameters():
        if not parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Below:
    """What the lowest `layers` of an encoder give for all rows that are trained on.

    Layers of some families give their states as the first of a tuple of so many: `in_tuple`, 0 where alone.
    """

    kept: Kept
    layers: int
    in_tuple: int

    @contextmanager
    def stands_in(self, model: TextModel, rows: NDArray[np.int64], length: int) -> Iterator[None]:
        """Inside, the lowest layers give what is kept for these rows, padded to `length`, and compute nothing.

        A batch of more rows than that is these rows over and over.
        """
        states = torch.from_numpy(self.kept.read(rows, length)).to(next(model.parameters()).device)

        def forward(*given: Any, **named: Any) -> Tensor | tuple[Tensor | None, ...]:
            hidden: Tensor = given[0] if given else named["hidden_states"]
            found = states.repeat(len(hidden) // len(states), 1, 1)
            return (found, *[None] * (self.in_tuple - 1)) if self.in_tuple else found

        layers = encoder_layers(model)[: self.layers]
        for layer in layers:
            layer.forward = forward
        try:
            yield
        finally:
            for layer in layers:
                del layer.forward


def tuple_length(model: TextModel) -> int:
    """Of how many the tuple is that a layer of this encoder gives, 0 where it gives a tensor: asks the first one."""
    found: list[int] = []

    def see(module: nn.Module, given: Any, output: Any) -> None:
        found.append(0 if isinstance(output, Tensor) else len(output))

    handle = encoder_layers(model)[0].register_forward_hook(see)
    one = torch.ones((1, 1), dtype=torch.int64, device=next(model.parameters()).device)
    types = {"token_type_ids": torch.zeros_like(one)}
    try:
        with torch.inference_mode():
            model.eval()(**{name: types.get(name, one) for name in model.input_names})
    finally:
        handle.remove()
    return found[0]
