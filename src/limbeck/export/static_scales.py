"""Static scales: an int8 graph whose activations have the scales that were seen on some rows, whatever it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import cycle, repeat
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from limbeck.engines.base import Arrays
from limbeck.engines.onnxruntime_engine import open_session
from limbeck.engines.settings import DEFAULT, Settings

_LEVELS = 255  # of unsigned int8, zero to largest


def fix_scales(path: Path, rows: Sequence[Arrays], settings: Settings = DEFAULT) -> None:
    """Give each activation of the dynamically quantised graph at `path` one scale, calibrated on `rows`.

    An activation's scale spans the smallest and the largest value that it has on any of the `rows`, batches of one, and
    0; values beyond are cut. All integer operators stay, so that the graph is as fast, while a text's answer no longer
    hangs on the texts of its batch. ONNX Runtime's own static form, QDQ, takes the fused operators apart instead.
    """
    model = onnx.load(path)
    dynamic = [node for node in model.graph.node if node.op_type == "DynamicQuantizeLinear"]
    if not dynamic:  # where all products stay in fp32
        return
    low, high = _ranges(model, dynamic, rows, settings)
    for node, scale, zero_point in zip(dynamic, *_spanning(low, high), strict=True):
        values, (quantised, *names) = node.input[0], node.output
        constants = (np.asarray(scale, np.float32), np.asarray(zero_point, np.uint8))
        model.graph.initializer.extend(map(numpy_helper.from_array, constants, names))
        node.CopyFrom(helper.make_node("QuantizeLinear", [values, *names], [quantised], name=node.name))
    _fuse_products(model)
    _take_in_biases(model.graph)
    onnx.save(model, path)


def _fuse_products(model: ModelProto) -> None:
    """Make each integer product and what scales it back to numbers one operator.

    ONNX Runtime does so itself where scales are dynamic; constant ones it multiplies first, and then finds nothing.
    """
    nodes = model.graph.node
    made_by = {name: node for node in nodes for name in node.output}
    read_by = {name: node for node in nodes for name in node.input}
    for product in [node for node in nodes if node.op_type == "MatMulInteger"]:
        cast = read_by[product.output[0]]
        scaled = read_by[cast.output[0]]
        (scales,) = (made_by[name] for name in scaled.input if name != cast.output[0])
        left, right, *zero_points = product.input
        inputs, kind = [left, right, *scales.input, *zero_points], "MatMulIntegerToFloat"
        fused = helper.make_node(kind, inputs, scaled.output, name=product.name, domain="com.microsoft")
        for node in (product, cast, scales):
            nodes.remove(node)
        scaled.CopyFrom(fused)
    if "com.microsoft" not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _take_in_biases(graph: GraphProto) -> None:
    """Let each integer product add the bias that is added to it."""
    sizes = {tensor.name: tensor.dims for tensor in graph.initializer}
    products = {node.output[0]: node for node in graph.node if node.op_type == "MatMulIntegerToFloat"}
    reads = Counter(name for node in graph.node for name in node.input)
    reads.update(output.name for output in graph.output)
    for added in [node for node in graph.node if node.op_type == "Add"]:
        product = next((products[name] for name in added.input if name in products and reads[name] == 1), None)
        if product is None:
            continue
        (bias,) = (name for name in added.input if name != product.output[0])
        if sizes.get(bias) == sizes[product.input[1]][-1:]:
            product.input.append(bias)
            product.output[:] = added.output
            graph.node.remove(added)


def _ranges(
    model: ModelProto, dynamic: Sequence[NodeProto], rows: Sequence[Arrays], settings: Settings
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The smallest and the largest value of each activation, as the graph itself scaled it on each row."""
    probe = ModelProto()
    probe.CopyFrom(model)
    scale_and_zero_point = [name for node in dynamic for name in node.output[1:]]
    kinds = cycle((TensorProto.FLOAT, TensorProto.UINT8))
    probe.graph.output.extend(map(helper.make_tensor_value_info, scale_and_zero_point, kinds, repeat([])))
    session = open_session(probe.SerializeToString(), settings)
    inputs = [tensor.name for tensor in session.get_inputs()]
    found = [session.run(scale_and_zero_point, {name: row[name] for name in inputs}) for row in rows]
    scales, zero_points = np.array(found, np.float32).reshape(len(rows), -1, 2).transpose(2, 0, 1)
    return (-zero_points * scales).min(0), ((_LEVELS - zero_points) * scales).max(0)


def _spanning(low: NDArray[np.float32], high: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Scales and zero points with which unsigned int8 spans `low` to `high`; `low` is at most 0 and `high` at least."""
    scales = (high - low) / np.float32(_LEVELS)
    scales[scales == 0] = 1  # of an activation that was 0 throughout
    return scales, np.rint(-low / scales).astype(np.uint8)
