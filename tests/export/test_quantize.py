from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from limbeck.engines import Settings
from limbeck.engines.onnxruntime_engine import OnnxRuntimeEngine
from limbeck.export.quantize import quantize_int8, sensitivities, weight_nodes

from .conftest import Graph, batch

ONE = Settings(threads=1)
ROWS = [batch([length], length) for length in (40, 12, 25, 3)]


def logits_of(path: Path) -> NDArray[np.float32]:
    return OnnxRuntimeEngine(path, ONE).run(batch([40, 12, 25, 3], 40))


INT8_KINDS = ("QAttention", "MatMulIntegerToFloat", "QEmbedLayerNormalization", "QGemm")


def quantised(names: list[str], path: Path) -> list[str]:
    """Those of the source's nodes `names` that are int8 in the graph at `path`."""
    int8 = {node.name for node in onnx.load(path).graph.node if node.op_type in INT8_KINDS}
    # The quantiser takes a Gemm apart into a MatMul and an Add.
    found = [name for name in names if int8 & {name, f"{name}_quant", f"{name}_MatMul_quant"}]
    assert len(found) == len(int8)
    return found


def test_the_nodes_with_weights_are_found(graph: Graph) -> None:
    names = weight_nodes(graph.path)
    nodes = {node.name: node.op_type for node in onnx.load(graph.path).graph.node}
    assert [name for name in nodes if name in names] == names
    assert len(set(names)) == len(names)
    whole = graph.model.pooling == "mean"
    assert sum(nodes[name] == "Attention" for name in names) == (2 if whole else 1)
    # The embeddings; of each layer three products besides its attention, which are three more where it asks for the
    # first token alone; the head, and the pooler where there is one.
    assert len(names) == 1 + 2 * 4 + (0 if whole else 2) + (2 if graph.model.pooling == "pooler" else 1)


@pytest.mark.parametrize("per_channel", [False, True])
def test_int8_is_smaller_and_near(graph: Graph, tmp_path: Path, per_channel: bool) -> None:
    small = tmp_path / "onnx" / "model_quantized.onnx"
    quantize_int8(graph.path, small, ROWS, per_channel=per_channel)
    assert small.stat().st_size < graph.path.stat().st_size
    assert list(small.parent.iterdir()) == [small]
    assert quantised(weight_nodes(graph.path), small) == weight_nodes(graph.path)
    wanted, got = logits_of(graph.path), logits_of(small)
    assert not np.array_equal(got, wanted)
    assert np.square(got - wanted).mean() < 0.1 * np.square(wanted).mean()


def test_quantising_twice_gives_the_same_file(graph: Graph, tmp_path: Path) -> None:
    for name in ("first", "second"):
        quantize_int8(graph.path, tmp_path / name, ROWS)
    assert np.array_equal(logits_of(tmp_path / "first"), logits_of(tmp_path / "second"))


@pytest.mark.parametrize("kind", ["EmbedLayerNormalization", "Attention", "MatMul", "Gemm"])
def test_nodes_to_keep_are_kept_and_no_others(graph: Graph, tmp_path: Path, kind: str) -> None:
    names = weight_nodes(graph.path)
    kept = {node.name for node in onnx.load(graph.path).graph.node if node.op_type == kind} & set(names)
    quantize_int8(graph.path, tmp_path / "model.onnx", ROWS, keep_fp32=sorted(kept))
    assert kept
    assert quantised(names, tmp_path / "model.onnx") == [name for name in names if name not in kept]


def test_sensitivities_are_those_of_each_node_alone_the_worst_first(graph: Graph, tmp_path: Path) -> None:
    names, trials = weight_nodes(graph.path), list[list[str]]()

    def quantized(keep_fp32: Sequence[str]) -> NDArray[np.float32]:
        quantize_int8(graph.path, tmp_path / "model.onnx", ROWS, per_channel=True, keep_fp32=keep_fp32)
        trials.append([n.name for n in onnx.load(tmp_path / "model.onnx").graph.node if n.op_type in INT8_KINDS])
        return logits_of(tmp_path / "model.onnx")

    reference = logits_of(graph.path)
    found = sensitivities(names, reference, quantized)
    assert {s.node for s in found} == set(names)
    assert [len(trial) for trial in trials] == [1] * len(names), trials
    harms = [s.logit_rms for s in found]
    assert harms == sorted(harms, reverse=True)
    assert harms[0] > 0
    difference = quantized([name for name in names if name != found[0].node]) - reference
    assert found[0].logit_rms == pytest.approx(float(np.sqrt(np.mean(difference**2))))


def test_sensitivities_do_not_count_units_that_a_row_has_not() -> None:
    # Rows of one and of two units, as `per_unit` has them.
    reference = np.array([[[1.0], [-np.inf]], [[2.0], [3.0]]], dtype=np.float32)
    harm = {"little": 0.1, "much": 1.0, "none": 0.0, "numbers lost": np.nan}

    def quantized(keep_fp32: Sequence[str]) -> NDArray[np.float32]:
        (alone,) = set(harm) - set(keep_fp32)
        return reference + np.float32(harm[alone])

    found = sensitivities(list(harm), reference, quantized)
    assert [s.node for s in found] == ["numbers lost", "much", "little", "none"]
    assert found[1].logit_rms == pytest.approx(1.0)
