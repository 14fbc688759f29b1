from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from families import FAMILIES, make_base
from limbeck.distillation.kept_states import StatesEngine
from limbeck.nn.losses import row_divergence, row_loss
from limbeck.nn.model import TextModel, checkpoint_gradients, new_model
from limbeck.tasks import Classify
from limbeck.text import Tokens
from limbeck.training.frozen import Below, frozen_layers, frozen_sha256, tuple_length
from limbeck.training.kept import keep
from limbeck.training.optimizer import freeze
from limbeck.training.step import Objective, Stepper

TASK = Classify(("negative", "positive"))
PLAIN = Objective(row_loss(TASK))
TWICE = Objective(row_loss(TASK), divergence=row_divergence(TASK), r_drop=2.0)
LENGTHS = (5, 9, 3, 12, 7, 4)


def tokens() -> list[Tokens]:
    random = np.random.default_rng(0)
    return [Tokens(i, random.integers(5, 25, n).astype(np.int32), np.zeros(n, np.int8)) for i, n in enumerate(LENGTHS)]


def kept_below(model: TextModel, rows: list[Tokens], folder: Path) -> Below:
    layers, width = len(frozen_layers(model)), model.config.hidden_size
    engine = StatesEngine(model, [("hidden", layers)])
    kept = keep(
        folder / "below.npy", lambda: engine, rows, width, of_tokens=True, pad_id=0, on_batch=lambda count: None
    )
    return Below(kept, layers, tuple_length(model))


def gradients(model: TextModel, objective: Objective, below: Below | None) -> tuple[float, dict[str, Tensor]]:
    targets = torch.tensor([0, 1, 0, 1, 0, 1])
    stepper = Stepper(
        model, tokens(), targets, objective, budget_tokens=40, pad_id=0, device=torch.device("cpu"), below=below
    )
    model.zero_grad()
    model.train()
    loss = stepper.gradients(np.array([3, 0, 5, 2]), "fp32")
    return loss, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def family_model(family: str, folder: Path, train_last: int = 1) -> TextModel:
    model = new_model(
        str(make_base(family, ["the quick brown fox jumps over the lazy dog"], folder)), TASK, dropout=0.0
    )
    freeze(model, train_last=train_last)
    return model


@pytest.mark.parametrize("objective", [PLAIN, TWICE], ids=["plain", "read twice"])
@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "albert"])
def test_what_is_kept_stands_in_for_frozen_layers(family: str, objective: Objective, tmp_path: Path) -> None:
    model = family_model(family, tmp_path / "base")
    assert len(frozen_layers(model)) == 1
    loss, wanted = gradients(model, objective, None)
    kept, found = gradients(model, objective, kept_below(model, tokens(), tmp_path))
    assert kept == pytest.approx(loss, rel=1e-3)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-3, rtol=1e-2)


def test_the_layers_compute_nothing_inside_and_all_afterwards(tmp_path: Path) -> None:
    model = family_model("bert", tmp_path / "base").eval()
    below = kept_below(model, tokens(), tmp_path)
    inputs = {name: torch.ones((1, 5), dtype=torch.int64) for name in model.input_names}
    plain = model(**inputs)
    with below.stands_in(model, np.array([0]), 5):
        other = model(**{**inputs, "input_ids": 7 * inputs["input_ids"]})
        assert torch.equal(model(**inputs), other)
    assert not torch.equal(plain, other)
    assert torch.equal(model(**inputs), plain)


def test_with_checkpointed_gradients(tmp_path: Path) -> None:
    model = family_model("bert", tmp_path / "base")
    below = kept_below(model, tokens(), tmp_path)
    loss, wanted = gradients(model, PLAIN, below)
    checkpoint_gradients(model)
    found, again = gradients(model, PLAIN, below)
    assert found == pytest.approx(loss)
    for name, gradient in wanted.items():
        torch.testing.assert_close(again[name], gradient)


def test_layers_that_learn_or_are_shared_are_not_frozen(tmp_path: Path) -> None:
    assert frozen_layers(family_model("albert", tmp_path / "albert", 0)) == []
    model = family_model("bert", tmp_path / "bert", 2)
    assert frozen_layers(model) == []
    freeze(model, train_last=0)
    assert len(frozen_layers(model)) == 2
    model.encoder.embeddings.requires_grad_(True)
    assert frozen_layers(model) == []


def test_the_hash_is_of_what_is_frozen(tmp_path: Path) -> None:
    model = family_model("bert", tmp_path / "base")
    before = frozen_sha256(model)
    with torch.no_grad():
        next(model.encoder.encoder.layer[1].parameters()).add_(1)
    assert frozen_sha256(model) == before
    with torch.no_grad():
        next(model.encoder.encoder.layer[0].parameters()).add_(1)
    assert frozen_sha256(model) != before


def test_what_is_kept_hangs_on_the_configuration_too(tiny_base: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text("utf-8"))

    def sha256(task: Classify = TASK, **changes: str | int) -> str:
        (base / "config.json").write_text(json.dumps({**config, **changes}), "utf-8")
        model = new_model(str(base), task, dropout=0.2)
        freeze(model, train_last=1)
        return frozen_sha256(model)

    assert sha256() == sha256(Classify(("a", "b", "c")))
    assert len({sha256(), sha256(hidden_act="relu"), sha256(num_attention_heads=2)}) == 3
