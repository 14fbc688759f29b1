from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from families import FAMILIES, make_base
from limbeck.distillation.speedup import operations, parse_speedup, sizes_for
from limbeck.errors import UsageError
from limbeck.nn.model import TextModel, new_model
from limbeck.nn.pruned import prunable_layers, remove_heads, remove_units
from limbeck.tasks import Classify

TASK = Classify(("negative", "positive"))


def test_names() -> None:
    assert (parse_speedup("pruned-2x"), parse_speedup("pruned-1.25x"), parse_speedup("L3")) == (2.0, 1.25, None)
    for name, message in (("pruned", "as pruned-2x"), ("pruned-fast", "as pruned-2x"), ("pruned-1x", "above 1")):
        with pytest.raises(UsageError, match=message):
            parse_speedup(name)


@pytest.fixture(params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest, tmp_path: Path) -> TextModel:
    base = make_base(request.param, ["the film was good", "a dull book", "it was not very long"], tmp_path / "base")
    model = new_model(str(base), TASK)
    model.encoder.set_attn_implementation("eager")  # what fused attention does is not counted
    return model.eval()


def counted(model: TextModel, tokens: int) -> int:
    ids = torch.full((1, tokens), 7)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs)
    return int(counter.get_total_flops())


def test_operations_are_those_that_a_forward_pass_loses(model: TextModel) -> None:
    whole, before = operations(model, 12), counted(model, 12)
    layers = prunable_layers(model.encoder)
    remove_heads(model.encoder, [[0, 2]] * len(layers))
    after, halved = operations(model, 12), counted(model, 12)
    assert before - halved == whole.attention - after.attention == whole.attention // 2
    assert after.feed_forward == whole.feed_forward
    remove_units(model.encoder, [range(16)] * len(layers))
    assert halved - counted(model, 12) == after.feed_forward - operations(model, 12).feed_forward
    assert operations(model, 12).feed_forward == whole.feed_forward // 4


@pytest.mark.parametrize("tokens", [4, 60])
def test_sizes_are_as_fast_as_was_asked(tiny_base: Path, tokens: int) -> None:
    model = new_model(str(tiny_base), TASK)
    whole = operations(model, tokens)
    for speedup, heads in ((1.1, 4), (2.0, 2), (3.0, 1)):
        found = sizes_for(model, speedup, tokens)
        assert found.heads == heads
        assert found.units % 8 == 0
        left = whole.attention * found.heads / 4 + whole.feed_forward * found.units / 64
        assert found.speedup == pytest.approx((whole.attention + whole.feed_forward) / left)
        assert found.speedup >= speedup
        one_more = left + whole.feed_forward * 8 / 64
        assert found.units == 64 or (whole.attention + whole.feed_forward) / one_more < speedup


def test_more_than_can_be_removed(tiny_base: Path) -> None:
    model = new_model(str(tiny_base), TASK)
    message = r"at most (\d+\.\d) times as fast at 30 tokens, with one head and 8 units left"
    with pytest.raises(UsageError, match=message) as raised:
        sizes_for(model, 50, 30)
    most = float(re.search(message, str(raised.value))[1])  # type: ignore[index]
    assert sizes_for(model, most - 0.05, 30).heads == 1
