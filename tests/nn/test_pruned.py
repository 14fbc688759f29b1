from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from families import FAMILIES, make_base
from limbeck.errors import BaseModelError, UsageError
from limbeck.nn.base import load_config
from limbeck.nn.model import TextModel, load_model, new_model, random_model, save_model
from limbeck.nn.pruned import (
    attention_width,
    check_prunable,
    kept_heads,
    prunable_layers,
    remove_heads,
    remove_units,
    shares_heads,
    units,
)
from limbeck.tasks import Classify

TASK = Classify(("negative", "positive"))
IDS = torch.tensor([[7, 12, 9, 8, 6, 5], [7, 11, 14, 2, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
INPUTS = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": torch.zeros_like(IDS)}
UNITS = [list(range(0, 64, 2)), list(range(32))]


@pytest.fixture(params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest, tmp_path: Path) -> TextModel:
    base = make_base(request.param, ["the film was good", "a dull book", "it was not very long"], tmp_path / "base")
    torch.manual_seed(0)
    return new_model(str(base), TASK, dropout=0.0).eval()


def chosen(model: TextModel) -> tuple[list[list[int]], list[list[int]]]:
    """Two of four heads and 32 of 64 units, in each layer others where the family can."""
    layers = len(prunable_layers(model.encoder))
    heads = [[1, 3], [1, 3]] if shares_heads(model.encoder) else [[1, 3], [0, 1]]
    return heads[:layers], UNITS[:layers]


def answer(model: TextModel) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model.eval()(**INPUTS)
    return logits


@contextmanager
def masked(model: TextModel, heads: Sequence[Sequence[int]], kept: Sequence[Sequence[int]]) -> Iterator[None]:
    """Inside, all other heads and units are multiplied by 0."""

    def times(mask: Tensor) -> object:
        return lambda module, given: (given[0] * mask, *given[1:])

    handles = []
    for layer, of_heads, of_units in zip(prunable_layers(model.encoder), heads, kept, strict=True):
        for linear, ones, size in ((layer.output, of_heads, 8), (layer.down, of_units, 1)):
            mask = torch.zeros(linear.in_features // size).index_fill(0, torch.tensor(ones), 1.0)
            handles.append(linear.register_forward_pre_hook(times(mask.repeat_interleave(size))))  # type: ignore[arg-type]
    yield
    for handle in handles:
        handle.remove()


def test_removing_nothing_changes_nothing(model: TextModel) -> None:
    before = answer(model)
    layers = len(prunable_layers(model.encoder))
    remove_heads(model.encoder, [range(4)] * layers)
    remove_units(model.encoder, [range(64)] * layers)
    assert not hasattr(model.config, "pruned_heads")
    assert torch.equal(answer(model), before)


def test_removed_is_as_if_zero_and_saved_as_it_is(model: TextModel, tmp_path: Path) -> None:
    heads, kept = chosen(model)
    whole, parameters = answer(model), sum(p.numel() for p in model.parameters())
    with masked(model, heads, kept):
        expected = answer(model)
    remove_heads(model.encoder, heads)
    remove_units(model.encoder, kept)
    torch.testing.assert_close(answer(model), expected)
    assert not torch.allclose(answer(model), whole, atol=1e-3)
    assert sum(p.numel() for p in model.parameters()) < parameters
    assert (kept_heads(model.config), attention_width(model.config), units(model.config)) == (2, 16, 32)

    save_model(model, tmp_path / "small")
    loaded = load_model(tmp_path / "small", TASK, pooling="pooler")
    assert torch.equal(answer(loaded), answer(model))
    assert all(
        layer.output.in_features == 16 and layer.down.in_features == 32 for layer in prunable_layers(loaded.encoder)
    )
    eager = load_model(tmp_path / "small", TASK, pooling="pooler", attention="eager")
    torch.testing.assert_close(answer(eager), expected)


def test_more_can_be_removed(model: TextModel, tmp_path: Path) -> None:
    heads, kept = chosen(model)
    layers = len(heads)
    with masked(model, [[h[1]] for h in heads], [u[4:20] for u in kept]):
        expected = answer(model)
    remove_heads(model.encoder, heads)
    remove_units(model.encoder, kept)
    remove_heads(model.encoder, [[1]] * layers)
    remove_units(model.encoder, [range(4, 20)] * layers)
    torch.testing.assert_close(answer(model), expected)
    save_model(model, tmp_path / "smaller")
    assert load_config(str(tmp_path / "smaller")).pruned_heads["0"] == [0, 1, 2]
    assert torch.equal(answer(load_model(tmp_path / "smaller", TASK, pooling="pooler")), answer(model))


def test_a_head_of_ours_is_loaded_too(tiny_base: Path, tmp_path: Path) -> None:
    model = new_model(str(tiny_base), TASK, pooling="mean", dropout=0.0)
    remove_heads(model.encoder, [[0], [3]])
    save_model(model, tmp_path / "small")
    assert torch.equal(answer(load_model(tmp_path / "small", TASK, pooling="mean")), answer(model))
    (tmp_path / "small" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BaseModelError, match="cannot load a pruned encoder"):
        load_model(tmp_path / "small", TASK, pooling="mean")


def test_what_transformers_does_with_it(tiny_base: Path, tmp_path: Path) -> None:
    model = new_model(str(tiny_base), TASK)
    remove_units(model.encoder, UNITS)
    save_model(model, tmp_path / "units")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "units").eval()
    with torch.inference_mode():
        torch.testing.assert_close(plain(**INPUTS).logits, answer(model))
    remove_heads(model.encoder, [[0], [3]])
    save_model(model, tmp_path / "heads")
    with pytest.raises(RuntimeError, match=r"size mismatch|mismatched"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "heads")
    with pytest.raises(BaseModelError, match="heads were removed"):
        new_model(str(tmp_path / "heads"), TASK)


def test_families_that_are_refused() -> None:
    with pytest.raises(UsageError, match="of convbert cannot be removed: expected an encoder of bert, roberta"):
        check_prunable(AutoConfig.for_model("convbert"))


@pytest.mark.parametrize(
    ("family", "settings"), [("deberta-v2", {"share_att_key": False}), ("camembert", FAMILIES["roberta"][1])]
)
def test_relatives_of_the_families(family: str, settings: dict[str, Any]) -> None:
    known = FAMILIES.get(family, ("", {}))[1]
    config = AutoConfig.for_model(family, vocab_size=50, pad_token_id=1, initializer_range=0.1, **{**known, **settings})
    torch.manual_seed(0)
    model = random_model(config, TASK, pooling="pooler", dropout=0.0)
    with masked(model, [[1, 3], [0, 1]], UNITS):
        expected = answer(model)
    remove_heads(model.encoder, [[1, 3], [0, 1]])
    remove_units(model.encoder, UNITS)
    torch.testing.assert_close(answer(model), expected)


def test_gates_and_fused_maps_lose_theirs(tmp_path: Path) -> None:
    base = make_base("modernbert", ["the film was good"], tmp_path / "base")
    model = new_model(str(base), TASK)
    (first, _) = prunable_layers(model.encoder)
    rows = {"Wqkv": first.maps[0].weight.clone(), "Wi": first.up.weight.clone()}
    remove_heads(model.encoder, [[2], [2]])
    remove_units(model.encoder, [[5], [5]])
    queries, keys, values = rows["Wqkv"].split(32)
    assert torch.equal(first.maps[0].weight, torch.cat([part[16:24] for part in (queries, keys, values)]))
    assert torch.equal(first.up.weight, rows["Wi"][[5, 69]])
    assert isinstance(first.up, nn.Linear)
