from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from families import FAMILIES
from limbeck.engines import Settings
from limbeck.engines.openvino_engine import OpenVinoEngine
from limbeck.engines.torch_engine import TorchEngine
from limbeck.export.openvino import export_openvino, product_names, quantize_openvino

from .conftest import Graph, batch, family_model

LENGTHS = [20, 9, 14]

ONE = Settings(threads=1)


@pytest.fixture(scope="module")
def intermediate(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model for OpenVINO, in fp32."""
    path = tmp_path_factory.mktemp("intermediate") / "openvino" / "openvino_model.xml"
    export_openvino(graph.model, path)
    return path


def test_it_answers_as_the_model_does(graph: Graph, intermediate: Path) -> None:
    assert sorted(path.name for path in intermediate.parent.iterdir()) == ["openvino_model.bin", "openvino_model.xml"]
    engine = OpenVinoEngine(intermediate, ONE, precision="fp32")
    for lengths, width in (([20, 9, 14], 24), ([3], 3), ([60, 2], 64)):
        arrays = batch(lengths, width)
        np.testing.assert_allclose(engine.run(arrays), TorchEngine(graph.model).run(arrays), atol=1e-4)


def test_bf16_is_near(graph: Graph, intermediate: Path) -> None:
    arrays, wanted = batch(LENGTHS, 24), TorchEngine(graph.model).run(batch(LENGTHS, 24))
    got = OpenVinoEngine(intermediate, ONE, precision="bf16").run(arrays)
    np.testing.assert_allclose(got, wanted, atol=0.02)


def test_what_was_compiled_is_kept_for_the_next_start(intermediate: Path, tmp_path: Path) -> None:
    arrays, cache = batch(LENGTHS, 24), tmp_path / "deep" / "cache"
    first = OpenVinoEngine(intermediate, ONE, precision="fp32", cache=cache).run(arrays)
    (kept,) = cache.glob("*.blob")
    made = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(OpenVinoEngine(intermediate, ONE, precision="fp32", cache=cache).run(arrays), first)
    assert kept.stat().st_mtime_ns == made
    (tmp_path / "file").touch()
    without = OpenVinoEngine(intermediate, ONE, precision="fp32", cache=tmp_path / "file" / "cache")
    np.testing.assert_array_equal(without.run(arrays), first)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_its_model(family: str, tmp_path: Path) -> None:
    model, arrays = family_model(family, tmp_path)
    export_openvino(model, tmp_path / "model.xml")
    got = OpenVinoEngine(tmp_path / "model.xml", ONE, precision="fp32").run(arrays)
    np.testing.assert_allclose(got, TorchEngine(model).run(arrays), atol=1e-4)


def test_int8_is_small_and_near_and_alone_what_it_is_beside_others(
    graph: Graph, intermediate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if graph.model.pooling != "pooler":
        pytest.skip("one of them is enough: it takes seconds")
    small = tmp_path / "openvino_model_qint8_quantized.xml"
    quantize_openvino(intermediate, small, [batch([n], n, seed=n) for n in range(5, 40)])
    assert capsys.readouterr().out == ""
    assert small.with_suffix(".bin").stat().st_size < 0.5 * intermediate.with_suffix(".bin").stat().st_size
    engine = OpenVinoEngine(small, ONE, precision="int8")
    arrays = batch([24, 24, 24], 24)
    wanted, got = TorchEngine(graph.model).run(arrays), engine.run(arrays)
    assert not np.array_equal(got, wanted)
    assert np.abs(got - wanted).max() < 0.5 * np.abs(wanted).max()
    for row in range(3):
        alone = engine.run({name: values[row : row + 1] for name, values in arrays.items()})
        np.testing.assert_allclose(alone[0], got[row], atol=1e-5)


def test_products_that_are_kept_are_not_quantised(graph: Graph, intermediate: Path, tmp_path: Path) -> None:
    if graph.model.pooling != "cls":
        pytest.skip("one of them is enough: it takes seconds")
    names = product_names(intermediate)
    assert len(names) == 2 * 6 + 1  # of each layer, and the head
    rows = [batch([length], length, seed) for seed, length in enumerate(range(8, 14))]
    small = tmp_path / "small.xml"
    quantize_openvino(intermediate, small, rows, keep_fp32=names[1:], progress=False)
    fp32, int8 = (OpenVinoEngine(path, ONE, precision="int8").run(batch(LENGTHS, 24)) for path in (intermediate, small))
    assert not np.array_equal(fp32, int8)
    assert np.abs(fp32 - int8).max() < 0.1
