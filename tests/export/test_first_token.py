from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from families import FAMILIES
from limbeck.engines import Settings
from limbeck.engines.onnxruntime_engine import OnnxRuntimeEngine
from limbeck.engines.torch_engine import TorchEngine
from limbeck.export.first_token import keep_first_token
from limbeck.export.onnx import export_onnx
from limbeck.nn.model import load_model, new_model, save_model
from limbeck.tasks import Classify

from .conftest import Graph, batch, family_model

TASK = Classify(("bad", "fair", "good"))
Change = Callable[[onnx.GraphProto], None]

ONE = Settings(threads=1)


def products(path: Path, layer: int) -> list[str]:
    return [n.name for n in onnx.load(path).graph.node if n.op_type == "MatMul" and f"layer.{layer}/" in n.name]


def test_the_first_token_alone_goes_through_the_last_layer(graph: Graph) -> None:
    if graph.model.pooling == "mean":
        pytest.skip("its head reads all tokens")
    model = onnx.load(graph.path)
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(f"{name}_output_0", onnx.TensorProto.FLOAT, None)
        for layer in (0, 1)
        for name in products(graph.path, layer)
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [node.name for node in session.get_outputs()][1:]
    found = dict(zip(names, session.run(names, batch([20, 9], 20)), strict=True))
    assert {values.shape[1] for name, values in found.items() if "layer.0/" in name} == {20}
    assert {values.shape[1] for name, values in found.items() if "layer.1/" in name} == {1}


def test_a_second_time_there_is_nothing_to_do(graph: Graph) -> None:
    if graph.model.pooling == "mean":
        pytest.skip("its head reads all tokens")
    before = graph.path.read_bytes()
    assert not keep_first_token(graph.path)
    assert graph.path.read_bytes() == before


def other_token(graph: onnx.GraphProto) -> None:
    (gather,) = [node for node in graph.node if node.op_type == "Gather" and "pooler" in node.name]
    graph.initializer.append(numpy_helper.from_array(np.array(1), "second"))
    gather.input[1] = "second"


def all_tokens(graph: onnx.GraphProto) -> None:
    (gather,) = [node for node in graph.node if node.op_type == "Gather" and "pooler" in node.name]
    axes = onnx.helper.make_attribute("axes", [1])
    gather.CopyFrom(onnx.helper.make_node("ReduceMean", [gather.input[0]], gather.output, keepdims=0))
    gather.attribute.append(axes)


def by_distance(graph: onnx.GraphProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "bias"))
    [node for node in graph.node if node.op_type == "Attention"][-1].input.extend(["", "bias"])


def one_way(graph: onnx.GraphProto) -> None:
    attention = [node for node in graph.node if node.op_type == "Attention"][-1]
    attention.attribute.append(onnx.helper.make_attribute("unidirectional", 1))


def not_fused(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.op_type == "Attention":
            node.op_type = "Other"


@pytest.fixture(scope="module")
def whole(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fused graph as it is before anything is left out."""
    folder = tmp_path_factory.mktemp("whole")
    save_model(new_model(str(tiny_base), TASK), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limbeck.export.onnx.keep_first_token", lambda path: False)
        export_onnx(load_model(folder, TASK, pooling="pooler", attention="eager"), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("change", [by_distance, one_way])
def test_an_attention_that_cannot_be_parted_stays_whole(whole: Path, tmp_path: Path, change: Change) -> None:
    model = onnx.load(whole)
    change(model.graph)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    assert keep_first_token(path)
    before, after = ([n for n in m.graph.node if n.op_type == "Attention"] for m in (model, onnx.load(path)))
    assert list(after) == list(before)
    assert len(onnx.load(path).graph.node) == len(model.graph.node) + 2  # what it gives is cut, and what is added to it


@pytest.mark.parametrize("change", [other_token, all_tokens, not_fused])
def test_other_graphs_are_left_alone(whole: Path, tmp_path: Path, change: Change) -> None:
    model = onnx.load(whole)
    change(model.graph)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    before = path.read_bytes()
    assert not keep_first_token(path)
    assert path.read_bytes() == before
    shutil.copy(whole, path)
    assert keep_first_token(path)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_its_model(family: str, tmp_path: Path) -> None:
    model, arrays = family_model(family, tmp_path)
    export_onnx(model, tmp_path / "model.onnx")
    got = OnnxRuntimeEngine(tmp_path / "model.onnx", ONE).run(arrays)
    np.testing.assert_allclose(got, TorchEngine(model).run(arrays), atol=1e-4)
