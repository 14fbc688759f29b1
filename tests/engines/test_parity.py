"""What every engine must do alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import pytest
from numpy.typing import NDArray

import limbeck
from limbeck.bundle import Variant, read_bundle
from limbeck.engines import Engine, Settings, compute_logits
from limbeck.engines.load import load_engine
from limbeck.engines.onnxruntime_engine import OnnxRuntimeEngine, session_options
from limbeck.engines.openvino_engine import OpenVinoEngine
from limbeck.engines.torch_engine import TorchEngine, load_reference
from limbeck.errors import BundleError, UsageError
from limbeck.export.openvino import export_openvino
from limbeck.measure import usable_cpus
from limbeck.nn.model import load_model
from limbeck.text import Tokens, pad

pytest_plugins = ("bundles",)

Load = Callable[[Settings], Engine]


def rows(lengths: list[int], seed: int = 0) -> list[Tokens]:
    random = np.random.default_rng(seed)
    return [Tokens(i, random.integers(5, 100, n).astype(np.int32), np.zeros(n, np.int8)) for i, n in enumerate(lengths)]


@pytest.fixture(scope="module")
def reference(classify_bundle: Path) -> TorchEngine:
    return load_reference(read_bundle(classify_bundle), Settings(threads=1))


def openvino_variant(bundle: Path, folder: Path) -> Variant:
    opened = read_bundle(bundle)
    manifest = opened.manifest
    model = load_model(bundle, manifest.task, pooling=manifest.model.pooling, attention="eager")
    export_openvino(model, folder / "model.xml")
    of = {"name": "openvino-fp32", "engine": "openvino", "precision": "fp32", "file": "model.xml"}
    return Variant(**of, inputs=model.input_names, opset=17, fused={})  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["onnxruntime", "openvino", "pytorch"])
def compiled(
    request: pytest.FixtureRequest, classify_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Variant]:
    """The folder and the fp32 variant of one engine."""
    if request.param == "onnxruntime":
        return classify_bundle, read_bundle(classify_bundle).variant("onnx-fp32")
    if request.param == "pytorch":
        return classify_bundle, read_bundle(classify_bundle).variant("pytorch-fp32")
    folder = tmp_path_factory.mktemp("openvino")
    return folder, openvino_variant(classify_bundle, folder)


@pytest.fixture(scope="module")
def load(compiled: tuple[Path, Variant]) -> Load:
    folder, variant = compiled
    return lambda settings: load_engine(folder, variant, settings)


@pytest.mark.parametrize("settings", [Settings(threads=1), Settings(threads=2, spinning=False)])
@pytest.mark.parametrize("lengths", [[9], [3, 12, 7, 1], [31] * 5])
def test_it_answers_as_the_model_does(
    load: Load, reference: TorchEngine, settings: Settings, lengths: list[int]
) -> None:
    arrays = pad(rows(lengths), pad_id=0, length=32)
    got = load(settings).run(arrays)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, reference.run(arrays), atol=1e-4)


@pytest.mark.parametrize("settings", [Settings(threads=2, streams=2, budget_tokens=64), Settings(threads=3, streams=3)])
def test_streams_answer_in_order(load: Load, settings: Settings) -> None:
    given = rows([n % 29 + 1 for n in range(120)])
    alone = compute_logits(load(Settings(threads=1)).run, given, pad_id=0, max_tokens=32)
    together = compute_logits(load(settings).run, given, pad_id=0, max_tokens=32, settings=settings)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_an_answer_stays_when_the_next_is_computed(load: Load) -> None:
    engine = load(Settings(threads=1))
    first = engine.run(pad(rows([20, 9, 14]), pad_id=0, length=24))
    before = first.copy()
    engine.run(pad(rows([20, 9, 14], seed=5), pad_id=0, length=24))
    np.testing.assert_array_equal(first, before)


def test_threads_ask_at_once(load: Load) -> None:
    engine = load(Settings(threads=1))
    inputs = [pad(rows([20, 9, 14], seed), pad_id=0, length=24) for seed in range(8)]
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


def test_fp32_answers_a_text_alike_in_any_company(load: Load) -> None:
    given = rows([n % 23 + 1 for n in range(40)])
    run = load(Settings(threads=1)).run
    alone = np.concatenate([run(pad([row], pad_id=0, length=len(row))) for row in given])
    random = np.random.default_rng(1)
    for _ in range(30):
        chosen = random.choice(len(given), random.integers(1, 9), replace=False)
        arrays = pad([given[i] for i in chosen], pad_id=0, length=int(random.integers(23, 33)))
        np.testing.assert_allclose(run(arrays), alone[chosen], atol=1e-5)


def test_pytorch_computes_on_the_threads_of_each_engine(
    classify_bundle: Path, pytorch_threads: Callable[[], int]
) -> None:
    bundle = read_bundle(classify_bundle)
    one, two, three = (
        load_engine(classify_bundle, bundle.variant("pytorch-fp32"), settings)
        for settings in (Settings(threads=1), Settings(threads=5, streams=2), Settings(threads=3))
    )
    arrays = pad(rows([9, 3]), pad_id=0, length=9)
    for engine, threads in ((one, 1), (two, 2), (three, 3), (one, 1)):
        engine.run(arrays)
        assert pytorch_threads() == threads
    with ThreadPoolExecutor(1) as pool:  # where others count
        pool.submit(two.run, arrays).result()
        assert pool.submit(pytorch_threads).result() == 2
    assert pytorch_threads() == 1
    load_reference(bundle).run(arrays)
    assert pytorch_threads() == usable_cpus()


def test_what_is_no_model_is_said(compiled: tuple[Path, Variant], tmp_path: Path) -> None:
    if compiled[1].engine == "pytorch":
        pytest.skip("its weights are those of a whole bundle")
    (tmp_path / compiled[1].file).parent.mkdir(exist_ok=True)
    (tmp_path / compiled[1].file).write_text("<nothing/>")
    with pytest.raises(BundleError, match=r"model\.\w+ cannot be loaded by (ONNX Runtime|OpenVINO)"):
        load_engine(tmp_path, compiled[1])


def test_the_reference_is_a_variant_that_every_bundle_has(
    classify_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = limbeck.load(classify_bundle, variant="pytorch-fp32")
    wanted = limbeck.load(classify_bundle, variant="onnx-fp32").predict(["a good film"])
    assert predictor.predict(["a good film"])[0].score == pytest.approx(wanted[0].score, abs=1e-5)  # type: ignore[union-attr]
    monkeypatch.setattr("limbeck.engines.load.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs torch, which is not installed: pip install 'limbeck\[train\]'"):
        limbeck.load(classify_bundle, variant="pytorch-fp32")


def test_an_engine_of_a_later_version_is_said(classify_bundle: Path) -> None:
    variant = msgspec.structs.replace(read_bundle(classify_bundle).variant(), engine="abacus")
    with pytest.raises(UsageError, match="runs on 'abacus', which this limbeck does not know: upgrade it"):
        load_engine(classify_bundle, variant)


def test_a_device_that_is_not_there_is_said(load: Load, compiled: tuple[Path, Variant]) -> None:
    messages = {
        "onnxruntime": "--device cuda: this ONNX Runtime runs on the CPU alone.*onnxruntime-gpu",
        "openvino": "--device cuda: openvino-fp32 runs on the CPU.*--variant, such as onnx-fp32",
        "pytorch": "--device cuda: PyTorch found no GPU",
    }
    with pytest.raises(UsageError, match=messages[compiled[1].engine]):
        load(Settings(device="cuda"))


def test_onnx_runtime_does_not_fall_back_to_the_cpu_without_a_word(
    classify_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(UsageError, match="--device cuda: ONNX Runtime found no GPU"),
    ):
        limbeck.load(classify_bundle, device="cuda")
    with pytest.raises(UsageError, match="unknown device 'tpu': expected cpu or cuda"):
        limbeck.load(classify_bundle, device="tpu")  # type: ignore[arg-type]


def test_loading_a_graph_joins_no_sum_with_its_norm(
    classify_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def options(settings: Settings) -> ort.SessionOptions:
        made = session_options(settings)
        made.optimized_model_filepath = str(tmp_path / "loaded.onnx")
        return made

    monkeypatch.setattr("limbeck.engines.onnxruntime_engine.session_options", options)
    OnnxRuntimeEngine(classify_bundle / "onnx/model.onnx")
    kinds = {node.op_type for node in onnx.load(tmp_path / "loaded.onnx").graph.node}
    assert "LayerNormalization" in kinds
    assert "SkipLayerNormalization" not in kinds


def test_openvino_keeps_few_kernels(classify_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variant = openvino_variant(classify_bundle, tmp_path)
    said: dict[object, object] = {}
    compile_model = ov.Core.compile_model

    def noting(core: ov.Core, path: Path, device: str, properties: dict[object, object]) -> ov.CompiledModel:
        said.update(properties)
        return compile_model(core, path, device, properties)

    monkeypatch.setattr(ov.Core, "compile_model", noting)
    OpenVinoEngine(tmp_path / variant.file, precision="fp32")
    assert said["CPU_RUNTIME_CACHE_CAPACITY"] == 256


def test_bound_arrays_give_the_same_logits(classify_bundle: Path) -> None:
    engine = OnnxRuntimeEngine(classify_bundle / "onnx/model.onnx")
    arrays = pad(rows([20, 9, 14]), pad_id=0, length=24)
    wanted = engine.run(arrays)
    engine._bound = True
    np.testing.assert_array_equal(engine.run(arrays), wanted)
