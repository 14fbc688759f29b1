"""int8: quantisation of a fused ONNX graph, and how much each node of a graph loses by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic

from limbeck.engines.base import Arrays
from limbeck.engines.settings import DEFAULT, Settings
from limbeck.export.onnx import quiet
from limbeck.export.static_scales import fix_scales
from limbeck.files import replace_when_written

_MATRIX_OPS = ("MatMul", "Attention", "Gemm")
_EMBEDDING_OPS = ("EmbedLayerNormalization", "Gather")


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How far the logits move when this node alone is quantised: the root mean square over rows and outputs."""

    node: str
    logit_rms: float


def quantize_int8(
    source: Path,
    target: Path,
    rows: Sequence[Arrays],
    *,
    per_channel: bool = False,
    keep_fp32: Sequence[str] = (),
    settings: Settings = DEFAULT,
) -> None:
    """Write an int8 form of the fused graph `source`: signed weights, and scales of activations calibrated on `rows`.

    Each of the `rows` is a batch of one. `per_channel` gives every output channel of a weight its own scale; nodes
    named in `keep_fp32` stay as they are. The rows are computed as `settings` say.
    """
    with replace_when_written(target) as beside, quiet():
        quantize_dynamic(
            source,
            beside,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
            # The quantiser takes a Gemm apart first and looks for the name of its product.
            nodes_to_exclude=[*keep_fp32, *(f"{name}_MatMul" for name in keep_fp32)],
            # Fused operators carry no type information for the quantiser to find.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        fix_scales(beside, rows, settings)


def weight_nodes(path: Path) -> list[str]:
    """The names of the nodes whose weights are quantised, in graph order: embeddings and matrix products."""
    graph = onnx.load(path, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 1}
    kinds = (*_MATRIX_OPS, *_EMBEDDING_OPS)
    return [node.name for node in graph.node if node.op_type in kinds and not weights.isdisjoint(node.input)]


def sensitivities(
    names: Sequence[str], reference: NDArray[np.float32], quantized: Callable[[Sequence[str]], NDArray[np.float32]]
) -> list[Sensitivity]:
    """Each node with weights quantised alone, the most harmful first.

    `reference` are logits of some rows, and `quantized` gives those of the same rows with the nodes that it is told
    kept in fp32. A node with which logits are no numbers is the most harmful.
    """
    there = np.isfinite(reference)  # no logit of a unit that a row has not
    found = []
    for name in names:
        difference = quantized([other for other in names if other != name])[there] - reference[there]
        harm = float(np.sqrt(np.mean(np.square(difference))))
        found.append(Sensitivity(name, harm if np.isfinite(harm) else float("inf")))
    return sorted(found, key=lambda s: -s.logit_rms)
