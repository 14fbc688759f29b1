from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from limbeck.engines import Settings
from limbeck.engines.base import Arrays
from limbeck.engines.onnxruntime_engine import OnnxRuntimeEngine
from limbeck.export.onnx import export_onnx
from limbeck.export.static_scales import fix_scales

from .conftest import Graph, batch, family_model

ONE = Settings(threads=1)
LENGTHS = [40, 12, 25, 3]


def quantize(source: Path, target: Path, *, per_channel: bool = False) -> None:
    """With dynamic scales."""
    known = {"DefaultTensorType": TensorProto.FLOAT}
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=per_channel, extra_options=known)


def alone(rows: Arrays, lengths: list[int]) -> list[Arrays]:
    """Each row of a batch as a batch of its own, without padding."""
    return [{name: values[[i], :length] for name, values in rows.items()} for i, length in enumerate(lengths)]


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def biases(path: Path) -> int:
    """How many integer products add a bias themselves."""
    return sum(len(node.input) == 7 for node in onnx.load(path).graph.node if node.op_type == "MatMulIntegerToFloat")


def logits(path: Path, rows: Arrays) -> NDArray[np.float32]:
    return OnnxRuntimeEngine(path, ONE).run(rows)


@pytest.mark.parametrize("per_channel", [False, True])
def test_scales_are_constants_and_answers_near(graph: Graph, tmp_path: Path, per_channel: bool) -> None:
    path, rows = tmp_path / "model.onnx", batch(LENGTHS, 40)
    quantize(graph.path, path, per_channel=per_channel)
    before = Counter(kinds(path))
    fix_scales(path, alone(rows, LENGTHS))
    after = Counter(kinds(path))
    assert after["QuantizeLinear"] == before["DynamicQuantizeLinear"]
    products = before["MatMulInteger"]
    assert after["MatMulIntegerToFloat"] == products
    assert (before["Mul"] - after["Mul"], before["Cast"] - after["Cast"]) == (2 * products, products)
    assert not {"DynamicQuantizeLinear", "MatMulInteger"} & set(after)
    assert after["QAttention"] == before["QAttention"]
    assert biases(path) == products - 3 * after["MultiHeadAttention"]  # which adds those of its inputs
    assert list(tmp_path.iterdir()) == [path]
    wanted, got = logits(graph.path, rows), logits(path, rows)
    assert not np.array_equal(got, wanted)
    assert np.abs(got - wanted).max() < 0.1 * np.abs(wanted).max() + 0.05


def test_an_answer_no_longer_hangs_on_its_batch(graph: Graph, tmp_path: Path) -> None:
    path, rows = tmp_path / "model.onnx", batch(LENGTHS, 48)
    moved = []
    for static in (False, True):
        quantize(graph.path, path)
        if static:
            fix_scales(path, alone(rows, LENGTHS))
        apart = np.concatenate([logits(path, row) for row in alone(rows, LENGTHS)])
        moved.append(np.abs(logits(path, rows) - apart).max())
    dynamic, fixed = moved
    assert dynamic > 1e-4
    assert fixed < 1e-6


@pytest.mark.parametrize("family", ["mpnet", "modernbert"])
def test_graphs_that_are_not_fused_whole_too(family: str, tmp_path: Path) -> None:
    model, rows = family_model(family, tmp_path)
    fp32, path = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    export_onnx(model, fp32)
    quantize(fp32, path)
    fix_scales(path, [rows])
    assert "DynamicQuantizeLinear" not in kinds(path)
    wanted, got = logits(fp32, rows), logits(path, rows)
    assert np.abs(got - wanted).max() < 0.1 * np.abs(wanted).max() + 0.05


def test_what_is_added_to_a_product_that_others_read_too_stays(tmp_path: Path) -> None:
    path, random = tmp_path / "model.onnx", np.random.default_rng(0)
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("values", "logits")]
    weights = {"weight": random.normal(size=(3, 3)), "bias": random.normal(size=3), "shift": random.normal(size=(1, 3))}
    nodes = [
        helper.make_node("MatMul", ["values", "weight"], ["both"]),
        helper.make_node("Add", ["bias", "both"], ["more"]),
        helper.make_node("Sub", ["more", "both"], ["once"]),
        helper.make_node("MatMul", ["once", "weight"], ["shifted"]),
        helper.make_node("Add", ["shifted", "shift"], ["logits"]),
    ]
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "products", told[:1], told[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    rows = {"values": random.normal(size=(5, 3)).astype(np.float32)}
    wanted = logits(path, rows)
    quantize(path, path)
    fix_scales(path, [rows])
    assert (biases(path), kinds(path).count("Add")) == (0, 2)
    np.testing.assert_allclose(logits(path, rows), wanted, atol=0.05)


def quantised_input(path: Path) -> None:
    """A graph that scales its input to int8 and back."""
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("values", "logits")]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["values"], ["int8", "scale", "zero_point"]),
        helper.make_node("DequantizeLinear", ["int8", "scale", "zero_point"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "quantised", told[:1], told[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_the_range_is_that_of_all_rows_and_what_is_beyond_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    quantised_input(path)
    fix_scales(path, [{"values": np.array([row], np.float32)} for row in ([-1.0, 0.5], [3.0, 4.1])])
    got = logits(path, {"values": np.array([[-1.0, 4.1], [-3.0, 99.0], [0.0, 2.0]], np.float32)})
    np.testing.assert_allclose(got, [[-1.0, 4.1], [-1.0, 4.1], [0.0, 2.0]], atol=5.1 / 255)


def test_what_is_never_but_zero_stays_zero(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    quantised_input(path)
    fix_scales(path, [{"values": np.zeros((1, 2), np.float32)}])
    assert np.array_equal(logits(path, {"values": np.zeros((3, 2), np.float32)}), np.zeros((3, 2)))
