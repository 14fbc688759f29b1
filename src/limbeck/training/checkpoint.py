"""A training's state in one safetensors file: weights, moments, random state and place. Nothing is pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from limbeck.errors import DataError
from limbeck.files import replace_when_written

_MODEL, _OPTIMIZER, _RANDOM, _CUDA_RANDOM = "model.", "optimizer.", "random", "random_cuda"


def save_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, place: dict[str, Any]) -> None:
    """Write all that the next step depends on; `place` is any JSON. The old file stands until the new is whole."""
    tensors: dict[str, Tensor] = {_MODEL + k: v.contiguous() for k, v in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}.{name}": value.contiguous() for name, value in state.items()}
    tensors[_RANDOM] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors[_CUDA_RANDOM] = torch.cuda.get_rng_state()
    with replace_when_written(path) as beside:
        save_file(_without_shared_memory(tensors), beside, metadata={"place": json.dumps(place)})


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the weights alone."""
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    with replace_when_written(path) as beside:
        save_file(_without_shared_memory(tensors), beside)


def read_place(path: Path) -> dict[str, Any] | None:
    """The `place` of a checkpoint, or None where there is no checkpoint. Raises `DataError` for a damaged file."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            place: dict[str, Any] = json.loads(file.metadata()["place"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a whole checkpoint ({error}): delete it to train anew") from error
    return place


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights, optimizer moments and the random state back as they were saved."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    model.load_state_dict({k.removeprefix(_MODEL): v for k, v in tensors.items() if k.startswith(_MODEL)})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, key = name.removeprefix(_OPTIMIZER).split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    torch.set_rng_state(tensors[_RANDOM])
    if _CUDA_RANDOM in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors[_CUDA_RANDOM])


def _without_shared_memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tied weights share memory, which safetensors refuses: the later names get a copy."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        address = tensor.data_ptr()
        result[name] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return result
