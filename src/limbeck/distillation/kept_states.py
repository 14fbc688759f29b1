"""The states inside a teacher, those that the objectives compare, as they are kept for all training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.distillation.layer_maps import LayerMap
from limbeck.distillation.states import States, captured
from limbeck.distillation.wanted import OF_LAYERS, Weights
from limbeck.engines.base import Arrays
from limbeck.nn.model import TextModel
from limbeck.nn.pruned import attention_width
from limbeck.training.kept import Kept

StateName = tuple[str, int]
"""The kind of a state, as `States` calls it, and its place there."""
_OF_LAST = {
    "distributions": ("queries", "keys"),
    "values": ("values",),
    "relations": ("queries", "keys", "values"),
}


def compared_states(weights: Weights, layer_map: LayerMap, layers: int) -> list[StateName]:
    """Which states of a teacher with so many layers the objectives compare, each once."""
    found = [(kind, layer_map[-1][1]) for name, kinds in _OF_LAST.items() if name in weights for kind in kinds]
    if "embeddings" in weights:
        found.append(("hidden", 0))
    if "samples" in weights:
        found.append(("hidden", layers))
    for _, layer in layer_map:
        if "attention" in weights:
            found += [("queries", layer), ("keys", layer)]
        if any(name in weights for name in OF_LAYERS if name != "attention"):
            found.append(("hidden", layer + 1))
    return sorted(set(found))


def state_widths(teacher: TextModel, names: Sequence[StateName]) -> list[int]:
    """The widths of the states of these names."""
    config = teacher.config
    return [config.hidden_size if kind == "hidden" else attention_width(config) for kind, _ in names]


class StatesEngine:
    """Gives states instead of logits: those of `names` side by side, `[rows, length, width]`."""

    def __init__(self, teacher: TextModel, names: Sequence[StateName]) -> None:
        self._teacher, self._names = teacher.eval(), names
        self._device = next(teacher.parameters()).device

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """The states of padded rows."""
        with torch.inference_mode(), captured(self._teacher) as states:
            self._teacher(**{name: torch.from_numpy(array).to(self._device) for name, array in inputs.items()})
        wanted = [getattr(states, kind)[place] for kind, place in self._names]
        return np.asarray(torch.cat(wanted, dim=2).float().cpu().numpy(), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class KeptStates:
    """What `StatesEngine` gave for all training rows."""

    kept: Kept
    names: Sequence[StateName]
    widths: Sequence[int]
    layers: int

    def read(self, rows: NDArray[np.int64], length: int, device: torch.device) -> States:
        """The states of these rows; in the place of those that nothing compares is nothing."""
        parts = torch.split(torch.from_numpy(self.kept.read(rows, length)).to(device), list(self.widths), dim=2)
        nothing = torch.empty(0)
        states = States([nothing] * (self.layers + 1), *([nothing] * self.layers for _ in range(3)))
        for (kind, place), part in zip(self.names, parts, strict=True):
            getattr(states, kind)[place] = part
        return states
