"""A head that reads the first token alone: what is computed of other tokens in the last layer is left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

from limbeck.export.attention import part_last_attention

LENGTH = "length"  # the name of the inputs' axis of tokens

Shapes = Mapping[str, Sequence[int | str]]
Cuts = Mapping[int, int]  # the axis along which an input, by its place, is cut; those not in it are needed whole

# What computes each token by itself, its inputs broadcast against each other.
_TOKENWISE = (
    *("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Erf", "Tanh", "Where", "Cast"),
    *("LayerNormalization", "Softmax", "Gelu", "FastGelu"),
)


class _Use(NamedTuple):
    """An input of a node, and the axis along which its first place is enough; None where all of it is needed."""

    node: NodeProto
    place: int
    axis: int | None


def keep_first_token(path: Path) -> bool:
    """Leave out of the graph at `path`, fused or plain, what its head does not read; says whether there was anything.

    Going back from where the head takes the first token, each operator that works token by token does so for that one
    alone, up to the attention of the last layer, which then has one query a text. Of the 12 parts of that layer's
    matrix products 2, those of keys and values, stay whole where the feed-forward is four times as wide as the hidden
    states.
    """
    model = onnx.load(path)
    part_last_attention(model.graph)
    shapes = _shapes(model)
    uses, shortened = _walk_back(model.graph, shapes)
    if not any(node.op_type == "MatMul" for node in model.graph.node if node.output[0] in shortened):
        return False
    _rewrite(model.graph, shapes, uses, shortened)
    onnx.save(model, path)
    return True


def _shapes(model: ModelProto) -> Shapes:
    """The shape of every tensor, its dynamic axes by name; of none where the graph has an unknown operator."""
    copy = ModelProto()
    copy.CopyFrom(model)
    try:
        with TemporaryDirectory() as folder, chdir(folder):  # where it fails it leaves a file
            inferred = SymbolicShapeInference.infer_shapes(copy, auto_merge=True).graph
    except Exception:  # noqa: BLE001 (it raises nothing more particular)
        return {}
    known: dict[str, Sequence[int | str]] = {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
    for value in [*inferred.input, *inferred.value_info, *inferred.output]:
        known[value.name] = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return known


def _walk_back(graph: GraphProto, shapes: Shapes) -> tuple[dict[str, list[_Use]], dict[str, int]]:
    """How each tensor is used, and the axis along which one that is computed for the first token alone is cut."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants |= {n.output[0]: numpy_helper.to_array(n.attribute[0].t) for n in graph.node if n.op_type == "Constant"}
    outputs = {output.name for output in graph.output}
    uses: dict[str, list[_Use]] = defaultdict(list)
    shortened: dict[str, int] = {}
    for node in reversed(graph.node):
        axes = {use.axis for use in uses[node.output[0]]}
        cuts: Cuts | None = None
        if _takes_first(node, constants, shapes):
            cuts = {0: 1}
        elif len(axes) == 1 and (axis := axes.pop()) is not None and outputs.isdisjoint(node.output):
            cuts = _cuts(node, axis, shapes)
            if cuts is not None:
                shortened[node.output[0]] = axis
        for place, name in enumerate(node.input):
            uses[name].append(_Use(node, place, (cuts or {}).get(place)))
    return uses, shortened


def _takes_first(node: NodeProto, constants: Mapping[str, NDArray[np.generic]], shapes: Shapes) -> bool:
    """Whether a node takes the first token of all."""
    if node.op_type != "Gather" or node.input[1] not in constants:
        return False
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    shape = shapes.get(node.input[0], ())
    return axis == 1 and len(shape) == 3 and shape[1] == LENGTH and not constants[node.input[1]].any()


def _cuts(node: NodeProto, axis: int, shapes: Shapes) -> Cuts | None:
    """What a node needs of its inputs when the first place of its output along `axis` is enough; None if all."""
    rule = _RULES.get(node.op_type)
    known = [*(name for name in node.input if name), node.output[0]]
    return rule(node, axis, shapes) if rule and all(name in shapes for name in known) else None


def _of_tokenwise(node: NodeProto, axis: int, shapes: Shapes) -> Cuts | None:
    rank = len(shapes[node.output[0]])
    if axis == rank - 1:  # along which norms and softmax compute
        return None
    cuts = {}
    for place, name in enumerate(node.input):
        own = axis - rank + len(shapes[name])
        if own >= 0 and shapes[name][own] == LENGTH:
            cuts[place] = own
    return cuts


def _of_product(node: NodeProto, axis: int, shapes: Shapes) -> Cuts | None:
    return {0: len(shapes[node.input[0]]) - 2} if axis == len(shapes[node.output[0]]) - 2 else None


def _of_transpose(node: NodeProto, axis: int, _: Shapes) -> Cuts | None:
    return {0: node.attribute[0].ints[axis]}


def _of_reshape(node: NodeProto, axis: int, shapes: Shapes) -> Cuts | None:
    """Heads parted or joined: what stands before them stays."""
    given, made = shapes[node.input[0]], shapes[node.output[0]]
    joined = axis == 1 and given[:2] == made[:2] and all(isinstance(size, int) for size in made[2:])
    return {0: axis} if joined else None


def _of_attention(node: NodeProto, axis: int, _: Shapes) -> Cuts | None:
    return {0: axis}  # its queries


_RULES: Mapping[str, Callable[[NodeProto, int, Shapes], Cuts | None]] = {
    **dict.fromkeys(_TOKENWISE, _of_tokenwise),
    "MatMul": _of_product,
    "Transpose": _of_transpose,
    "Reshape": _of_reshape,
    "MultiHeadAttention": _of_attention,
}


def _rewrite(
    graph: GraphProto, shapes: Shapes, uses: Mapping[str, Sequence[_Use]], shortened: Mapping[str, int]
) -> None:
    """Cut what is whole where it enters the shortened part."""
    cut: dict[str, list[NodeProto]] = defaultdict(list)
    for name, of_name in uses.items():
        for node, place, axis in of_name:
            if axis is None or name in shortened:
                continue
            first = f"{name}_first_of_axis_{axis}"
            if not any(first in made.output for made in cut[name]):
                bounds = [_constant(graph, f"{first}_{i}", [value]) for i, value in enumerate((0, 1, axis))]
                cut[name].append(helper.make_node("Slice", [name, *bounds], [first], name=first))
            node.input[place] = first
    for node in graph.node:
        if node.op_type == "Reshape" and node.output[0] in shortened:
            sizes = [0, 1, *shapes[node.output[0]][2:]]  # 0 stands for what it was
            node.input[1] = _constant(graph, f"{node.output[0]}_shape", sizes)
    given = {value.name for value in [*graph.input, *graph.initializer]}
    nodes = [made for name in given & set(cut) for made in cut[name]]
    for node in graph.node:
        nodes += [node, *(made for output in node.output for made in cut.get(output, ()))]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _constant(graph: GraphProto, name: str, values: Sequence[int | str]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    return name
