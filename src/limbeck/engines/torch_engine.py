"""PyTorch: the reference that every compiled variant is held against."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.bundle import Bundle
from limbeck.engines.base import Arrays
from limbeck.engines.settings import DEFAULT, Settings
from limbeck.errors import UsageError
from limbeck.measure import usable_cpus
from limbeck.nn.model import TextModel, load_model
from limbeck.nn.precision import Precision, autocast


class TorchEngine:
    """A model in evaluation mode, in fp32 unless said otherwise.

    It computes on so many `threads`; None takes as many as PyTorch computes on at that moment.
    """

    def __init__(self, model: TextModel, precision: Precision = "fp32", *, threads: int | None = None) -> None:
        self._model = model.eval()
        self._precision: Precision = precision
        self._threads = threads
        self._device = next(model.parameters()).device

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """Logits `[batch, outputs]`."""
        # PyTorch keeps one number for each thread that calls it, whatever the model.
        if self._threads is not None and self._threads != torch.get_num_threads():
            torch.set_num_threads(self._threads)
        tensors = {name: torch.from_numpy(array).to(self._device) for name, array in inputs.items()}
        with torch.inference_mode(), autocast(self._precision, self._device):
            logits = self._model(**tensors)
        return np.asarray(logits.float().cpu().numpy(), dtype=np.float32)


def load_reference(bundle: Bundle, settings: Settings = DEFAULT) -> TorchEngine:
    """The fp32 PyTorch model of a bundle.

    Raises `UsageError` for a device that PyTorch cannot use.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch found no GPU that it can use: see to the driver and to torch's CUDA")
    manifest = bundle.manifest
    model = load_model(bundle.folder, manifest.task, pooling=manifest.model.pooling)
    threads = max(1, (settings.threads or usable_cpus()) // settings.streams)
    return TorchEngine(model.to(settings.device), threads=threads)
