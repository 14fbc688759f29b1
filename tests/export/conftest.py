"""One tiny model exported once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from families import make_base
from limbeck.export.onnx import Exported, export_onnx
from limbeck.nn.model import TextModel, load_model, new_model, save_model
from limbeck.tasks import Classify

TASK = Classify(("bad", "fair", "good"))


@dataclass(frozen=True)
class Graph:
    """A model with its export."""

    model: TextModel
    path: Path
    exported: Exported


@pytest.fixture(scope="session", params=["pooler", "cls", "mean"])
def graph(request: pytest.FixtureRequest, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tiny model with each kind of head, as an ONNX file."""
    folder = tmp_path_factory.mktemp(request.param)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = new_model(str(tiny_base), TASK, pooling=request.param)
        for name, parameter in model.named_parameters():
            if name.endswith("dense.bias"):  # they begin as equal zeros, which an exporter makes one
                torch.nn.init.normal_(parameter, std=0.02)
        save_model(model, folder)
    model = load_model(folder, TASK, pooling=request.param, attention="eager")
    path = folder / "onnx" / "model.onnx"
    return Graph(model, path, export_onnx(model, path))


def family_model(family: str, folder: Path) -> tuple[TextModel, dict[str, NDArray[np.int64]]]:
    """A tiny random model of a family, made in `folder`, and rows that it can read."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = make_base(family, ["the quick brown fox jumps over the lazy dog"], folder / "base")
        save_model(new_model(str(base), TASK), folder)
    model = load_model(folder, TASK, pooling="pooler", attention="eager")
    arrays = {name: np.minimum(values, 20) for name, values in batch([30, 12, 3], 32).items()}
    pad_id = model.config.pad_token_id or 0
    arrays["input_ids"] = np.where(arrays["attention_mask"] == 1, np.maximum(arrays["input_ids"], 6), pad_id)
    return model, arrays


def batch(lengths: list[int], width: int, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    """Random rows of these lengths padded to `width`, the second half of each the second text of a pair."""
    random = np.random.default_rng(seed)
    positions, ends = np.arange(width), np.array(lengths)[:, None]
    mask = (positions < ends).astype(np.int64)
    ids = random.integers(5, 160, mask.shape) * mask
    types = ((positions >= ends // 2) & (positions < ends)).astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
