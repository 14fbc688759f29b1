"""ONNX: the fused fp32 graph that every ONNX Runtime variant starts from."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from torch import Tensor, nn

from limbeck.errors import ExportError
from limbeck.export.first_token import keep_first_token
from limbeck.files import replace_when_written
from limbeck.nn.model import READS_TOKENS, TextModel
from limbeck.nn.pruned import attention_width, kept_heads

OPSET = 17
LARGEST_FILE_BYTES = 2**31 - 1  # what one protobuf message holds
_COUNTED = ("Attention", "MultiHeadAttention", "EmbedLayerNormalization", "LayerNormalization", "Gelu")
# On CPUs a sum and its norm take several times as long as one operator as they do apart (1.0 against 0.16 ms, 1,024
# tokens of 384, two cores); and a bias that stays apart becomes part of an int8 product.
_SLOWER_FUSED = ("enable_skip_layer_norm", "enable_bias_skip_layer_norm", "enable_bias_gelu")


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file, its graph inputs in order, its opset, and how many operators of each kind were fused."""

    inputs: tuple[str, ...]
    opset: int
    fused: dict[str, int]


class _Positional(nn.Module):
    """Takes tensors by position, as the exporter hands them over."""

    def __init__(self, model: TextModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> Tensor:
        logits: Tensor = self.model(**dict(zip(self.model.input_names, tensors, strict=True)))
        return logits


def export_onnx(model: TextModel, path: Path) -> Exported:
    """Write `model`, loaded with eager attention, as one fused fp32 ONNX file with dynamic batch and length.

    Where its head reads the first token alone, the last layer computes no other: see `keep_first_token`.

    Input shapes `[batch, length]`, output `logits` `[batch, outputs]` (for `embed` the vectors), or
    `[batch, length, outputs]`.

    Raises `ExportError` when the file would pass 2 GB, or when a BERT-family graph did not fuse whole.
    """
    weights_bytes = sum(p.numel() * 4 for p in model.parameters())
    if weights_bytes > LARGEST_FILE_BYTES:
        raise ExportError(f"the weights take {weights_bytes:,} bytes; one ONNX file holds {LARGEST_FILE_BYTES:,}")
    with replace_when_written(path) as beside, tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        trace(model, plain)
        fused = _fuse(plain, beside, model.config)
        _check_fusion(model, fused)
        if keep_first_token(beside):
            fused = count_operators(beside)
    return Exported(model.input_names, OPSET, fused)


def trace(model: TextModel, path: Path) -> None:
    """Write the graph as PyTorch has it, nothing fused, with dynamic batch and length."""
    names = list(model.input_names)
    example = torch.ones((2, 8), dtype=torch.int64)
    tensors = tuple(torch.zeros_like(example) if name == "token_type_ids" else example for name in names)
    of_inputs = {0: "batch", 1: "length"}
    axes = dict.fromkeys(names, of_inputs) | {"logits": of_inputs if model.pooling in READS_TOKENS else {0: "batch"}}
    # The TorchScript exporter is deprecated, but only its graphs fuse whole.
    with quiet():
        torch.onnx.export(
            _Positional(model.cpu().eval()),
            tensors,
            str(path),
            input_names=names,
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )


def _fuse(source: Path, target: Path, config: Any) -> dict[str, int]:
    options = FusionOptions("bert")
    for name in _SLOWER_FUSED:
        setattr(options, name, False)
    with quiet():
        optimized = optimize_model(
            str(source),
            model_type="bert",
            num_heads=kept_heads(config),
            hidden_size=attention_width(config),
            opt_level=0,
            optimization_options=options,
        )
        optimized.save_model_to_file(str(target))
    return count_operators(target)


def count_operators(path: Path) -> dict[str, int]:
    """How often each fused operator occurs in a graph; those that do not occur are left out."""
    kinds = [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]
    return {kind: kinds.count(kind) for kind in _COUNTED if kind in kinds}


def _check_fusion(model: TextModel, fused: dict[str, int]) -> None:
    layers = model.config.num_hidden_layers
    if model.config.model_type == "bert" and fused.get("Attention", 0) != layers:
        raise ExportError(
            f"{fused.get('Attention', 0)} of {layers} attention blocks were fused ({fused or 'nothing fused'}): "
            "the graph would be slow. This torch, transformers or onnxruntime exports another graph than was tested; "
            "install the pinned versions."
        )


@contextmanager
def quiet() -> Iterator[None]:
    """The exporters warn and log about their own insides; nothing there is for the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
