from __future__ import annotations

import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel

from limbeck.engines.openvino_peak import openvino_peak
from limbeck.measure.work import PEAK_OPERATIONS, Sizes, numpy_peak, operations, peak_of, sizes_of


def test_operations_are_those_that_pytorch_counts() -> None:
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        vocab_size=50,
        attn_implementation="eager",
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    counted = 0
    for length in (5, 12):
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            model(torch.ones((1, length), dtype=torch.int64))
        counted += counter.get_total_flops()
    sizes = sizes_of(config.to_dict())
    assert sizes == Sizes(layers=3, width=32, inner=48)
    assert operations([5, 12], sizes) == counted


def test_sizes_go_by_other_names_or_are_not_known() -> None:
    assert sizes_of({"n_layers": 6, "dim": 768, "hidden_dim": 3072}) == Sizes(6, 768, 3072)
    assert sizes_of({"n_layers": 6, "dim": 768}) is None


def test_the_fastest_product_counts() -> None:
    pauses = iter([0.0, 0.02, 0.005, 0.01, 0.01, 0.01])
    found = peak_of(lambda: time.sleep(next(pauses, 0.01)), seconds=0.03)
    assert PEAK_OPERATIONS / 0.02 < found <= PEAK_OPERATIONS / 0.005


@pytest.mark.parametrize("precision", ["numpy", "fp32", "int8"])
def test_a_peak_is_that_of_a_product(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_of, "__kwdefaults__", {"seconds": 0.0})
    rate = numpy_peak() if precision == "numpy" else openvino_peak(precision)
    assert 1e8 < rate < 1e15
