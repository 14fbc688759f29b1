from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from limbeck.errors import DataError
from limbeck.training.checkpoint import State, load_checkpoint, read_place, save_checkpoint
from limbeck.training.optimizer import make_optimizer

PLACE = {"step": 3, "loss_sum": 0.1 + 0.2, "evaluations": [{"score": 1 / 3}], "note": "naïve"}


class Tied(nn.Module):
    """Two names for one weight, as in a model that shares its embedding with its output."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.second(torch.relu(self.first(x)))
        return output


def build(kind: type[nn.Module], seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = kind() if kind is Tied else nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    return model, make_optimizer(model, learning_rate=0.01, weight_decay=0.01)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(5, 4)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", [nn.Sequential, Tied])
def test_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path, kind: type[nn.Module]) -> None:
    path = tmp_path / "checkpoint.safetensors"
    model, optimizer = build(kind, seed=0)
    train(model, optimizer, 3)
    save_checkpoint(path, State(model, optimizer), PLACE)
    train(model, optimizer, 3)

    other, other_optimizer = build(kind, seed=1)
    load_checkpoint(path, State(other, other_optimizer))
    train(other, other_optimizer, 3)
    for (name, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert read_place(path) == PLACE


def test_a_new_optimizer_can_be_saved_before_its_first_step(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    model, optimizer = build(nn.Sequential, seed=0)
    save_checkpoint(path, State(model, optimizer), {})
    load_checkpoint(path, State(model, optimizer))
    train(model, optimizer, 1)


def test_saving_changes_nothing_and_leaves_one_file(tmp_path: Path) -> None:
    model, optimizer = build(Tied, seed=0)
    train(model, optimizer, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    for _ in range(2):
        save_checkpoint(tmp_path / "checkpoint.safetensors", State(model, optimizer), PLACE)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    assert "random" in load_file(tmp_path / "checkpoint.safetensors")  # plain safetensors, nothing pickled


def test_no_checkpoint_has_no_place(tmp_path: Path) -> None:
    assert read_place(tmp_path / "checkpoint.safetensors") is None


@pytest.mark.parametrize("kept", [0, 7, 200, -1])
def test_a_checkpoint_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "checkpoint.safetensors"
    model, optimizer = build(nn.Sequential, seed=0)
    save_checkpoint(path, State(model, optimizer), PLACE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"checkpoint\.safetensors is not a whole checkpoint.*delete it to train anew"):
        read_place(path)


@pytest.mark.parametrize("metadata", [None, {"other": "1"}, {"place": "{"}])
def test_another_safetensors_file_is_no_checkpoint(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata=metadata)
    with pytest.raises(DataError, match="not a whole checkpoint"):
        read_place(path)
