"""Rows a second on many texts and one text's milliseconds: `limbeck.load(...).predict` beside other CPU engines.

    python benchmarks/engines.py BUNDLE DATA [ROWS] [MAX_TOKENS] [TURNS]

Same weights, same texts in the same order, one process, all CPUs that it may use. BUNDLE was compressed with
`--engine openvino --keep-all`. The others, each where it is installed:

- `transformers.pipeline` in fp32, in batches of 32 and one text at a time;
- ONNX Runtime int8 of the same model (its own optimizer and its dynamic quantisation, as optimum does it) in batches
  of 32 in file order, padded to the longest of each;
- OpenVINO int8 of the same model (plain ONNX, quantised by NNCF, as optimum-intel does it), in batches of 32 in file
  order, and sorted by length as sentence-transformers has them;
- CTranslate2's int8 encoder, without a head, sorted, in batches of 4,096 tokens.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import openvino as ov
from common import show, texts_and_labels
from numpy.typing import NDArray
from onnx import TensorProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_model
from openvino import properties
from tokenizers import Tokenizer
from transformers import pipeline

import limbeck
from limbeck.bundle import read_bundle
from limbeck.engines import Engine
from limbeck.engines.base import Arrays
from limbeck.engines.openvino_peak import openvino_peak
from limbeck.export.onnx import trace
from limbeck.export.openvino import quantize_openvino
from limbeck.measure import usable_cpus
from limbeck.measure.work import operations, sizes_of
from limbeck.nn.model import load_model
from limbeck.predictor import Predictor
from limbeck.text import Tokens, pad

BATCH, CTRANSLATE2_TOKENS, CALIBRATION_ROWS = 32, 4096, 300
WARM_TEXTS, SINGLE_TURNS, SINGLE_TOKENS, SINGLE_RUNS, WARM_RUNS = 64, 3, 20, 100, 20

SINGLE_VARIANTS = ("onnx-int8", "openvino-int8")

Program = Callable[[list[str]], Any]  # gives a label for each text


def in_batches(engine: Engine, predictor: Predictor, tokens: Sequence[Tokens], order: Sequence[int]) -> list[int]:
    """The likeliest label of each row, computed 32 rows at a time in the given order."""
    found = [0] * len(tokens)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        rows = [tokens[i] for i in chosen]
        logits = engine.run(pad(rows, pad_id=predictor.model.pad_id, length=max(map(len, rows))))
        for i, label in zip(chosen, logits.argmax(1), strict=True):
            found[i] = int(label)
    return found


def quantise_plainly(predictor: Predictor, tokens: Sequence[Tokens], folder: Path) -> None:
    """Write the model to int8.xml and int8.onnx as OpenVINO's and ONNX Runtime's own tools would quantise it."""
    manifest = predictor.bundle.manifest
    model = load_model(predictor.bundle.folder, manifest.task, pooling=manifest.model.pooling, attention="eager")
    trace(model, folder / "plain.onnx")
    ov.save_model(ov.Core().read_model(folder / "plain.onnx"), folder / "plain.xml", compress_to_fp16=False)
    rows = [pad([t], pad_id=manifest.model.pad_id, length=len(t)) for t in tokens[:CALIBRATION_ROWS]]
    quantize_openvino(folder / "plain.xml", folder / "int8.xml", rows)
    config = model.config
    heads, width = config.num_attention_heads, config.hidden_size
    fused = optimize_model(str(folder / "plain.onnx"), "bert", num_heads=heads, hidden_size=width, opt_level=0)
    fused.save_model_to_file(str(folder / "fused.onnx"))
    known = {"DefaultTensorType": TensorProto.FLOAT}
    quantize_dynamic(folder / "fused.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8, extra_options=known)


class PlainOnnxRuntime:
    """ONNX Runtime as it runs a file by default, on the CPUs that it may use."""

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = usable_cpus()
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._names = [node.name for node in self._session.get_inputs()]

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """Logits `[batch, outputs]`."""
        return np.asarray(self._session.run(None, {name: inputs[name] for name in self._names})[0], dtype=np.float32)


class PlainOpenVino:
    """OpenVINO as it runs a file by default, which is in bf16 beside int8 on CPUs that have it."""

    def __init__(self, path: Path) -> None:
        self._model: Any = ov.Core().compile_model(path, "CPU", {properties.inference_num_threads: usable_cpus()})
        self._names = [port.any_name for port in self._model.inputs]
        self._request = self._model.create_infer_request()

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """Logits `[batch, outputs]`."""
        found = self._request.infer({name: inputs[name] for name in self._names}, share_inputs=True)
        return np.array(found[0], dtype=np.float32)


def ctranslate2_encoder(predictor: Predictor, folder: Path) -> Callable[[Sequence[Tokens]], None] | None:
    """Computes the hidden states of all rows; None where CTranslate2 is not installed."""
    try:
        import ctranslate2
        from ctranslate2.converters import TransformersConverter
    except ImportError:
        return None
    TransformersConverter(str(predictor.bundle.folder)).convert(str(folder / "ct2"), quantization="int8")
    encoder = ctranslate2.Encoder(str(folder / "ct2"), compute_type="int8", intra_threads=usable_cpus())

    def encode(tokens: Sequence[Tokens]) -> None:
        batch: list[list[int]] = []
        for row in sorted(tokens, key=len, reverse=True):
            if batch and (len(batch) + 1) * len(batch[0]) > CTRANSLATE2_TOKENS:
                encoder.forward_batch(batch)
                batch = []
            batch.append(row.input_ids.tolist())
        encoder.forward_batch(batch)

    return encode


def programs(bundle: str, max_tokens: int | None, texts: list[str], folder: Path) -> dict[str, Callable[[], Program]]:
    """How each program is loaded, anew for each turn: one that has run has kernels for the shapes that it met."""
    ours = limbeck.load(bundle, max_tokens=max_tokens, objective="throughput")
    names = ours.task.labels

    def tokens(given: list[str]) -> list[Tokens]:
        return ours.prepare(given).tokens

    def predictor() -> Program:
        loaded = limbeck.load(bundle, max_tokens=max_tokens, objective="throughput")
        return lambda given: [result.label for result in loaded.predict(given)]  # type: ignore[union-attr]

    def in_32s(load: Callable[[], Engine], *, ordered: bool = False) -> Callable[[], Program]:
        def loaded() -> Program:
            engine = load()

            def labels(given: list[str]) -> list[str]:
                rows = tokens(given)
                order = sorted(range(len(rows)), key=lambda i: -len(rows[i])) if ordered else range(len(rows))
                return [names[i] for i in in_batches(engine, ours, rows, order)]

            return labels

        return loaded

    quantise_plainly(ours, tokens(texts[:CALIBRATION_ROWS]), folder)

    def openvino() -> Engine:
        return PlainOpenVino(folder / "int8.xml")

    found = {
        f"limbeck {ours.variant.name}": predictor,
        "ONNX Runtime int8, file order": in_32s(lambda: PlainOnnxRuntime(folder / "int8.onnx")),
        "OpenVINO int8, file order": in_32s(openvino),
        "OpenVINO int8, sorted": in_32s(openvino, ordered=True),
    }
    if encode := ctranslate2_encoder(ours, folder):
        found["CTranslate2 int8 encoder, sorted"] = lambda: lambda given: encode(tokens(given))
    return found


def pipelines(bundle: str, limit: int) -> dict[str, Callable[[], Program]]:
    """The pipeline of transformers, one text at a time and in batches."""
    pipe: Any = pipeline("text-classification", model=bundle, device="cpu")

    def in_batches_of(size: int) -> Callable[[], Program]:
        said = {"batch_size": size, "truncation": True, "max_length": limit}
        return lambda: lambda given: [found["label"] for found in pipe(given, **said)]

    name = "transformers.pipeline fp32, "
    return {f"{name}one text at a time": in_batches_of(1), f"{name}batches of {BATCH}": in_batches_of(BATCH)}


def throughput(
    bundle: str, texts: list[str], max_tokens: int | None, turns: int, folder: Path
) -> list[tuple[str, float, Any]]:
    """Each program's name, seconds from texts to labels, the median, and labels; pipelines take one turn."""
    quick = programs(bundle, max_tokens, texts, folder)
    slow = pipelines(bundle, limbeck.load(bundle, max_tokens=max_tokens).model.max_tokens)
    seconds: dict[str, list[float]] = {name: [] for name in (*quick, *slow)}
    labels: dict[str, Any] = {}
    for turn in range(turns):
        for name, load in {**quick, **(slow if turn == 0 else {})}.items():
            run = load()
            run(texts[:WARM_TEXTS])
            start = time.perf_counter()
            labels[name] = run(texts)
            seconds[name].append(time.perf_counter() - start)
    return [(name, statistics.median(taken), labels[name]) for name, taken in seconds.items()]


def single_ms(bundle: str, texts: list[str], folder: Path) -> dict[str, tuple[float, float]]:
    """Milliseconds from text to label, the median of calls for one text of 20 tokens, and of one for each of `texts`.

    The lengths of the latter differ from call to call, as in real life; OpenVINO prepares its kernels anew then.
    """
    alike = ["a film " * ((SINGLE_TOKENS - 2) // 2)] * (WARM_RUNS + SINGLE_RUNS)
    ways: dict[str, Callable[[str], Any]] = {}
    for variant in SINGLE_VARIANTS:
        predictor = limbeck.load(bundle, variant=variant)
        ways[f"limbeck {variant}"] = lambda text, predictor=predictor: predictor.predict([text])  # type: ignore[misc]
    tokenizer = Tokenizer.from_file(str(Path(bundle) / "tokenizer.json"))
    tokenizer.no_padding()  # which the file may ask for
    limit = limbeck.load(bundle).model.max_tokens
    tokenizer.enable_truncation(limit)

    def by_hand(engine: Engine, text: str) -> int:
        found = tokenizer.encode(text)
        named = {"input_ids": found.ids, "attention_mask": found.attention_mask, "token_type_ids": found.type_ids}
        return int(engine.run({name: np.array([ids]) for name, ids in named.items()}).argmax())

    ways["OpenVINO int8, by hand"] = partial(by_hand, PlainOpenVino(folder / "int8.xml"))
    ways["ONNX Runtime int8, by hand"] = partial(by_hand, PlainOnnxRuntime(folder / "int8.onnx"))
    pipe: Any = pipeline("text-classification", model=bundle, device="cpu")
    ways["transformers.pipeline fp32"] = lambda text: pipe(text, truncation=True, max_length=limit)
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ways}
    for _ in range(SINGLE_TURNS):
        for name, way in ways.items():
            for times, given in zip(taken[name], (alike, texts), strict=True):
                times += _in_a_row(way, given)
    return {name: (statistics.median(same), statistics.median(all_)) for name, (same, all_) in taken.items()}


def _in_a_row(way: Callable[[str], Any], texts: list[str]) -> list[float]:
    """Milliseconds of calls one after another; the first ones do not count: threads of the way before still spin."""
    times = []
    for text in texts:
        start = time.perf_counter()
        way(text)
        times.append((time.perf_counter() - start) * 1000)
    return times[WARM_RUNS:]


def main(bundle: str, data: str, rows: str = "5000", max_tokens: str | None = None, turns: str = "3") -> None:
    """Time all programs and print rows a second, how many times as fast limbeck is, and agreement with it."""
    for variant in SINGLE_VARIANTS:
        read_bundle(bundle).variant(variant)  # what is missing is said before anything is timed
    texts, _ = texts_and_labels(Path(data), int(rows))
    limit = int(max_tokens) if max_tokens else None
    with tempfile.TemporaryDirectory() as folder:
        found = throughput(bundle, texts, limit, int(turns), Path(folder))
        alone = single_ms(bundle, texts[: WARM_RUNS + SINGLE_RUNS], Path(folder))
    name, seconds, ours = found[0]
    table = []
    for program, taken, answers in found:
        same = float(np.mean([a == b for a, b in zip(ours, answers, strict=True)])) if answers else ""
        table.append([program, len(texts) / taken, taken / seconds, same])
    opened = read_bundle(bundle).reading(limit)
    lengths = [len(t) for t in limbeck.load(bundle, max_tokens=limit).prepare(texts).tokens]
    sizes = sizes_of(json.loads((opened.folder / "config.json").read_text()))
    peak = openvino_peak("int8")
    share = operations(lengths, sizes) / seconds / peak if sizes else 0.0
    mean = np.mean(lengths)
    # Without VNNI OpenVINO's int8 product is slower than that in fp32, and no peak.
    known = peak > openvino_peak("fp32")
    reached = f"{share:.0%} of {peak / 1e9:.0f} Gop/s" if known else f"{share * peak / 1e9:.0f} Gop/s"
    show(
        f"{len(texts)} texts of {mean:.0f} tokens on average; {name}: {reached}",
        ["program", "rows/s", "limbeck is x times as fast", "same label as limbeck"],
        table,
        rows_per_second={program: len(texts) / taken for program, taken, _ in found},
        times={program: taken / seconds for program, taken, _ in found},
        share_of_int8_peak=share if known else None,
    )
    show(
        f"milliseconds of one text, medians of {SINGLE_TURNS * SINGLE_RUNS}",
        ["program", f"the same one of {SINGLE_TOKENS} tokens", "one after another"],
        [[program, *ms] for program, ms in alone.items()],
        milliseconds=alone,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
