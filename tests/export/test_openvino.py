from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from families import FAMILIES
from limbeck.engines.openvino_engine import OpenVinoEngine
from limbeck.engines.torch_engine import TorchEngine
from limbeck.errors import BundleError
from limbeck.export.openvino import export_openvino, quantize_openvino

from .conftest import Graph, batch, family_model

LENGTHS = [20, 9, 14]


@pytest.fixture(scope="module")
def intermediate(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model for OpenVINO, in fp32."""
    path = tmp_path_factory.mktemp("intermediate") / "openvino" / "openvino_model.xml"
    export_openvino(graph.model, path)
    return path


def test_it_answers_as_the_model_does(graph: Graph, intermediate: Path) -> None:
    assert sorted(path.name for path in intermediate.parent.iterdir()) == ["openvino_model.bin", "openvino_model.xml"]
    engine = OpenVinoEngine(intermediate, precision="fp32", threads=1)
    for lengths, width in (([20, 9, 14], 24), ([3], 3), ([60, 2], 64)):
        arrays = batch(lengths, width)
        np.testing.assert_allclose(engine.run(arrays), TorchEngine(graph.model).run(arrays), atol=1e-4)


def test_bf16_is_near(graph: Graph, intermediate: Path) -> None:
    arrays, wanted = batch(LENGTHS, 24), TorchEngine(graph.model).run(batch(LENGTHS, 24))
    got = OpenVinoEngine(intermediate, precision="bf16", threads=1).run(arrays)
    np.testing.assert_allclose(got, wanted, atol=0.02)


def test_an_answer_stays_when_the_next_is_computed(intermediate: Path) -> None:
    engine = OpenVinoEngine(intermediate, precision="fp32", threads=1)
    first = engine.run(batch(LENGTHS, 24))
    before = first.copy()
    engine.run(batch(LENGTHS, 24, seed=5))
    np.testing.assert_array_equal(first, before)


def test_threads_ask_at_once(intermediate: Path) -> None:
    engine = OpenVinoEngine(intermediate, precision="fp32", threads=1)
    inputs = [batch(LENGTHS, 24, seed) for seed in range(8)]
    wanted = [engine.run(arrays) for arrays in inputs]
    got: dict[int, NDArray[np.float32]] = {}

    def ask(number: int) -> None:
        for _ in range(10):
            got[number] = engine.run(inputs[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, answer in got.items():
        np.testing.assert_array_equal(answer, wanted[number])


def test_what_was_compiled_is_kept_for_the_next_start(intermediate: Path, tmp_path: Path) -> None:
    arrays, cache = batch(LENGTHS, 24), tmp_path / "deep" / "cache"
    first = OpenVinoEngine(intermediate, precision="fp32", threads=1, cache=cache).run(arrays)
    (kept,) = cache.glob("*.blob")
    made = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(
        OpenVinoEngine(intermediate, precision="fp32", threads=1, cache=cache).run(arrays), first
    )
    assert kept.stat().st_mtime_ns == made
    (tmp_path / "file").touch()
    without = OpenVinoEngine(intermediate, precision="fp32", threads=1, cache=tmp_path / "file" / "cache")
    np.testing.assert_array_equal(without.run(arrays), first)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_its_model(family: str, tmp_path: Path) -> None:
    model, arrays = family_model(family, tmp_path)
    export_openvino(model, tmp_path / "model.xml")
    got = OpenVinoEngine(tmp_path / "model.xml", precision="fp32", threads=1).run(arrays)
    np.testing.assert_allclose(got, TorchEngine(model).run(arrays), atol=1e-4)


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text("<nothing/>")
    with pytest.raises(BundleError, match=r"model\.xml cannot be loaded by OpenVINO"):
        OpenVinoEngine(tmp_path / "model.xml", precision="fp32")


def test_int8_is_small_and_near_and_alone_what_it_is_beside_others(
    graph: Graph, intermediate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if graph.model.pooling != "pooler":
        pytest.skip("one of them is enough: it takes seconds")
    small = tmp_path / "openvino_model_qint8_quantized.xml"
    quantize_openvino(intermediate, small, [batch([n], n, seed=n) for n in range(5, 40)])
    assert capsys.readouterr().out == ""
    assert small.with_suffix(".bin").stat().st_size < 0.5 * intermediate.with_suffix(".bin").stat().st_size
    engine = OpenVinoEngine(small, precision="int8", threads=1)
    arrays = batch([24, 24, 24], 24)
    wanted, got = TorchEngine(graph.model).run(arrays), engine.run(arrays)
    assert not np.array_equal(got, wanted)
    assert np.abs(got - wanted).max() < 0.5 * np.abs(wanted).max()
    for row in range(3):
        alone = engine.run({name: values[row : row + 1] for name, values in arrays.items()})
        np.testing.assert_allclose(alone[0], got[row], atol=1e-5)
