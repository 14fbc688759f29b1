"""OpenVINO's IR: the graph as ONNX has it before anything is fused, and its int8 form."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import openvino as ov

from limbeck.engines.base import Arrays
from limbeck.errors import ExportError
from limbeck.export.first_token import keep_first_token
from limbeck.export.onnx import quiet, trace
from limbeck.files import replace_when_written
from limbeck.nn.model import TextModel


def export_openvino(model: TextModel, path: Path) -> None:
    """Write `model`, loaded with eager attention, as the fp32 IR at `path` (`.xml`) and the `.bin` beside it.

    Inputs and output are those of `export_onnx`, and what the head does not read is left out likewise.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        trace(model, plain)
        keep_first_token(plain)
        _save(ov.Core().read_model(plain), path)


def product_names(path: Path) -> list[str]:
    """The names of the products with weights in the IR at `path`, in graph order."""
    products = [node for node in ov.Core().read_model(path).get_ordered_ops() if node.get_type_name() == "MatMul"]
    return [node.get_friendly_name() for node in products if _is_constant(node.input_value(1).get_node())]


def _is_constant(node: Any) -> bool:
    while node.get_type_name() in ("Convert", "Transpose"):
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def quantize_openvino(
    source: Path, target: Path, rows: Sequence[Arrays], *, keep_fp32: Sequence[str] = (), progress: bool = True
) -> None:
    """Write an int8 form of the IR at `source`, with static scales calibrated on `rows`, batches of one.

    Products named in `keep_fp32` stay as they are; bars on standard error show the `progress`. SmoothQuant and the
    transformer preset of NNCF: https://github.com/openvinotoolkit/nncf

    Raises `ExportError` where nothing was quantised.
    """
    os.environ.setdefault("NNCF_CI", "1")  # or it would send what is done here to its makers
    import nncf

    with quiet(), redirect_stdout(sys.stderr if progress else StringIO()):
        model = nncf.quantize(
            ov.Core().read_model(source),
            nncf.Dataset([dict(row) for row in rows]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(rows),
            ignored_scope=nncf.IgnoredScope(names=list(keep_fp32)),
        )
    if not any(node.get_type_name() == "FakeQuantize" for node in model.get_ops()):
        raise ExportError(f"NNCF found nothing to quantise in {source}")
    _save(model, target)


def _save(model: Any, path: Path) -> None:
    """The weights first: an `.xml` that is there has its `.bin`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        written = Path(folder) / path.name
        ov.save_model(model, written, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            with replace_when_written(path.with_suffix(suffix)) as beside:
                written.with_suffix(suffix).rename(beside)
