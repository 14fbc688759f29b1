from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.engines import Settings
from limbeck.engines.onnxruntime_engine import OnnxRuntimeEngine
from limbeck.engines.torch_engine import TorchEngine
from limbeck.errors import ExportError
from limbeck.export import onnx as target
from limbeck.export.onnx import OPSET, count_operators, export_onnx, quiet

from .conftest import Graph, batch

ONE = Settings(threads=1)


def test_every_attention_block_is_fused(graph: Graph) -> None:
    alone = graph.model.pooling != "mean"  # then the last layer asks for the first token alone
    assert graph.model.config.num_hidden_layers == 2
    fused = [graph.exported.fused.get(kind, 0) for kind in ("Attention", "MultiHeadAttention")]
    assert fused == ([1, 1] if alone else [2, 0])
    assert graph.exported.fused == count_operators(graph.path)
    assert graph.exported.fused["EmbedLayerNormalization"] == 1
    kinds = {node.op_type for node in onnx.load(graph.path).graph.node}
    assert not {"Softmax", "Erf", "Pow"} & kinds


def test_norms_stay_apart_from_the_sums_before_them(graph: Graph) -> None:
    kinds = [node.op_type for node in onnx.load(graph.path).graph.node]
    assert kinds.count("LayerNormalization") == graph.exported.fused["LayerNormalization"] == 4
    assert not {"SkipLayerNormalization", "BiasGelu"} & set(kinds)


def test_inputs_and_opset_are_those_of_the_graph(graph: Graph) -> None:
    loaded = onnx.load(graph.path)
    assert tuple(node.name for node in loaded.graph.input) == graph.exported.inputs == graph.model.input_names
    assert [node.name for node in loaded.graph.output] == ["logits"]
    assert next(o.version for o in loaded.opset_import if o.domain == "") == graph.exported.opset == OPSET
    for node in loaded.graph.input:
        assert all(dimension.dim_param for dimension in node.type.tensor_type.shape.dim)
    onnx.checker.check_model(loaded)


def test_nothing_but_the_graph_is_left(graph: Graph) -> None:
    assert list(graph.path.parent.iterdir()) == [graph.path]


@settings(max_examples=25)
@given(lengths=st.lists(st.integers(2, 64), min_size=1, max_size=5), more=st.integers(0, 20), seed=st.integers(0, 99))
def test_the_graph_answers_as_the_model_does(graph: Graph, lengths: list[int], more: int, seed: int) -> None:
    arrays = batch(lengths, min(64, max(lengths) + more), seed)
    got = OnnxRuntimeEngine(graph.path, ONE).run(arrays)
    assert got.shape == (len(lengths), 3)
    np.testing.assert_allclose(got, TorchEngine(graph.model).run(arrays), atol=1e-4)


def test_padding_does_not_change_the_graphs_answer(graph: Graph) -> None:
    engine = OnnxRuntimeEngine(graph.path, ONE)
    together = engine.run(batch([64, 30, 9], 64))
    arrays = batch([64, 30, 9], 64)
    for row, length in enumerate((64, 30, 9)):
        alone = engine.run({name: array[row : row + 1, :length] for name, array in arrays.items()})
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


def test_a_graph_that_did_not_fuse_is_refused_and_not_left(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "count_operators", lambda path: {"Attention": 1, "LayerNormalization": 5})
    with pytest.raises(ExportError, match="1 of 2 attention blocks were fused"):
        export_onnx(graph.model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_too_large_for_one_file_is_refused(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "LARGEST_FILE_BYTES", 1000)
    with pytest.raises(ExportError, match="one ONNX file holds 1,000"):
        export_onnx(graph.model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_exporting_leaves_the_model_as_it_was(graph: Graph, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in graph.model.state_dict().items()}
    export_onnx(graph.model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == graph.path.read_bytes()
    assert all(torch.equal(before[name], tensor) for name, tensor in graph.model.state_dict().items())


def test_quiet_is_over_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.root.manager.disable
    with quiet():
        warnings.warn("unheard", UserWarning, stacklevel=1)
        logging.getLogger("an exporter").warning("unheard")
    assert logging.root.manager.disable == before
    assert caplog.records == []
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)
