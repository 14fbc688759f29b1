from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from families import FAMILIES, make_base
from limbeck.distillation.objectives import scaled_products
from limbeck.distillation.states import captured
from limbeck.nn.model import new_model
from limbeck.tasks import Classify

IDS = torch.tensor([[7, 12, 9, 8, 6, 5], [7, 11, 14, 2, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
INPUTS = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": torch.zeros_like(IDS)}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_states_of_every_family(family: str, tmp_path: Path) -> None:
    base = make_base(family, ["the film was good", "a dull book", "it was not very long"], tmp_path / "base")
    model = new_model(str(base), Classify(("negative", "positive"))).eval()
    with captured(model) as states, torch.no_grad():
        model(**INPUTS)
        taken = {name: INPUTS[name] for name in model.input_names}
    wanted = model.encoder(**taken, output_hidden_states=True).hidden_states
    assert len(states.hidden) == 3  # and no more: the second pass is not captured
    for index in (0, 1):  # what comes after the last layer may be normalised once more
        torch.testing.assert_close(states.hidden[index], wanted[index])
    for kind in (states.queries, states.keys, states.values):
        assert [tuple(tensor.shape) for tensor in kind] == [(2, 6, 32)] * 2


def test_queries_and_keys_make_the_attention_of_bert(tiny_base: Path) -> None:
    model = new_model(str(tiny_base), Classify(("negative", "positive"))).eval()
    with captured(model) as states, torch.no_grad():
        model(**INPUTS)
    eager = AutoModel.from_pretrained(tiny_base, attn_implementation="eager").eval()
    with torch.no_grad():
        wanted = eager(**INPUTS, output_attentions=True).attentions
    for layer in (0, 1):
        scores = scaled_products(states.queries[layer], states.keys[layer], 4)
        found = scores.masked_fill(MASK[:, None, None] == 0, -1e9).softmax(dim=-1)
        torch.testing.assert_close(found, wanted[layer])
