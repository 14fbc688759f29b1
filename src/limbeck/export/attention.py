"""ONNX Runtime's fused attention, in parts."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

_INPUTS = 4  # hidden states, weights, bias, mask; more of them mean a bias by distance, or a past
_KEPT = ("num_heads", "mask_filter_value", "scale")  # attributes that both operators have


def part_last_attention(graph: GraphProto) -> None:
    """Give the last `Attention` its queries, keys and values by products of their own, as `MultiHeadAttention` does.

    Its queries can then be of fewer tokens. An attention with a bias by distance, a past or one direction stays.
    """
    attentions = [node for node in graph.node if node.op_type == "Attention"]
    if not attentions or not _can_be_parted(attentions[-1]):
        return
    last = attentions[-1]
    nodes = _parted(graph, last)
    place = list(graph.node).index(last)
    graph.node.remove(last)
    for node in reversed(nodes):
        graph.node.insert(place, node)


def _can_be_parted(attention: NodeProto) -> bool:
    known = {*_KEPT, "qkv_hidden_sizes"}
    return len(attention.input) == _INPUTS and all(
        attribute.name in known or not attribute.i for attribute in attention.attribute
    )


def _parted(graph: GraphProto, attention: NodeProto) -> list[NodeProto]:
    hidden, weights_name, bias, mask = attention.input
    weights = next(tensor for tensor in graph.initializer if tensor.name == weights_name)
    if sum(weights_name in node.input for node in graph.node) == 1:  # layers may share them
        graph.initializer.remove(weights)
    nodes, parts = [], []
    for part, values in zip(
        ("query", "key", "value"), np.split(numpy_helper.to_array(weights), 3, axis=1), strict=True
    ):
        name = f"{attention.name}_{part}"
        weight = f"{name}_weight"
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), weight))
        nodes.append(helper.make_node("MatMul", [hidden, weight], [name], name=f"{name}_MatMul"))
        parts.append(name)
    joined = helper.make_node(
        "MultiHeadAttention", [*parts, bias, mask], attention.output, name=attention.name, domain=attention.domain
    )
    joined.attribute.extend(attribute for attribute in attention.attribute if attribute.name in _KEPT)
    return [*nodes, joined]
