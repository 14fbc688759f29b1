"""A head that reads the first token alone: the last layer computes no other, but the keys and values it looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

# What computes each token by itself.
_TOKENWISE = {
    *("MatMul", "Add", "SkipLayerNormalization", "LayerNormalization", "BiasGelu", "Gelu", "FastGelu"),
    *("Mul", "Div", "Erf", "Pow", "Tanh"),
}
_INPUTS = 4  # hidden states, weights, bias, mask; more of them mean a bias by distance, or a past
_KEPT = ("num_heads", "mask_filter_value", "scale")  # attributes that both operators have
_CUT = {"starts": 0, "ends": 1, "axes": 1}


def keep_first_token(path: Path) -> bool:
    """Let the last layer of the fused graph at `path` ask for its first token alone; says whether it could.

    Its attention then has one query a text, and output, feed-forward and norms one token: of the 12 parts of its matrix
    products 2, those of keys and values, stay whole where the feed-forward is four times as wide as the hidden states.
    Left alone are graphs whose head reads other tokens, and those whose attention is not one operator.
    """
    model = onnx.load(path)
    graph = model.graph
    attentions = [node for node in graph.node if node.op_type == "Attention"]
    if not attentions or not _can_be_parted(attentions[-1]):
        return False
    last = attentions[-1]
    behind = _up_to_the_head(graph, last.output[0])
    if behind is None:
        return False
    hidden = last.input[0]
    first = f"{hidden}_first_token"
    for node in behind:
        node.input[:] = [first if name == hidden else name for name in node.input]
    nodes = [_cut(graph, hidden, first), *_parted(graph, last, first)]
    place = list(graph.node).index(last)
    graph.node.remove(last)
    for node in reversed(nodes):
        graph.node.insert(place, node)
    onnx.save(model, path)
    return True


def _can_be_parted(attention: NodeProto) -> bool:
    known = {*_KEPT, "qkv_hidden_sizes"}
    return len(attention.input) == _INPUTS and all(
        attribute.name in known or not attribute.i for attribute in attention.attribute
    )


def _up_to_the_head(graph: GraphProto, start: str) -> list[NodeProto] | None:
    """The nodes behind the tensor `start` that compute each token, up to those that take the first one.

    None where there is any other: then more tokens matter.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants |= {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    outputs = {output.name for output in graph.output}
    reached, found = {start}, []
    for node in graph.node:
        if reached.isdisjoint(node.input) or _takes_first(node, constants):
            continue
        if node.op_type not in _TOKENWISE or not outputs.isdisjoint(node.output):
            return None
        found.append(node)
        reached.update(node.output)
    return found


def _takes_first(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    if node.op_type != "Gather" or node.input[1] not in constants:
        return False
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    return axis == 1 and not numpy_helper.to_array(constants[node.input[1]]).any()


def _cut(graph: GraphProto, hidden: str, first: str) -> NodeProto:
    names = [_constant(graph, f"{first}_{name}", np.array([value], np.int64)) for name, value in _CUT.items()]
    return helper.make_node("Slice", [hidden, *names], [first], name=first)


def _parted(graph: GraphProto, attention: NodeProto, first: str) -> list[NodeProto]:
    """An `Attention` as the products of its queries, here of `first` alone, keys and values, and what joins them."""
    hidden, weights_name, bias, mask = attention.input
    weights = next(tensor for tensor in graph.initializer if tensor.name == weights_name)
    if sum(weights_name in node.input for node in graph.node) == 1:  # layers may share them
        graph.initializer.remove(weights)
    nodes, parts = [], []
    for part, values in zip(
        ("query", "key", "value"), np.split(numpy_helper.to_array(weights), 3, axis=1), strict=True
    ):
        name = f"{attention.name}_{part}"
        given = first if part == "query" else hidden
        weight = _constant(graph, f"{name}_weight", np.ascontiguousarray(values))
        nodes.append(helper.make_node("MatMul", [given, weight], [name], name=f"{name}_MatMul"))
        parts.append(name)
    joined = helper.make_node(
        "MultiHeadAttention", [*parts, bias, mask], attention.output, name=attention.name, domain=attention.domain
    )
    joined.attribute.extend(attribute for attribute in attention.attribute if attribute.name in _KEPT)
    return [*nodes, joined]


def _constant(graph: GraphProto, name: str, values: np.ndarray) -> str:
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name
