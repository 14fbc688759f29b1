"""OpenVINO on the CPU: an extra that is often the faster one in batches."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import properties

from limbeck.engines.base import Arrays
from limbeck.engines.settings import DEFAULT, Settings
from limbeck.errors import BundleError
from limbeck.measure import usable_cpus

# By itself OpenVINO computes fp32 models in bf16 on CPUs that have it.
COMPUTES_IN = {"fp32": "f32", "bf16": "bf16", "int8": "f32", "int8-bf16": "bf16"}
# What it prepares for a shape it keeps, for 5,000 of each kind of operator by default: in ten minutes of batches of all
# shapes memory doubled. With 64, too few for the lengths that sentences have, single ones took twice as long.
_KEPT_KERNELS = {"CPU_RUNTIME_CACHE_CAPACITY": 256}


class OpenVinoEngine:
    """An OpenVINO IR, compiled for this CPU."""

    def __init__(self, path: Path, settings: Settings = DEFAULT, *, precision: str, cache: Path | None = None) -> None:
        """Load the `.xml` at `path`, with its `.bin` beside it.

        `precision` says what is computed in where the graph says nothing: bf16 (`bf16`, `int8-bf16`), or fp32. What was
        compiled is kept in the folder `cache`, where it can be written to, and the next start takes it from there. It
        must be a folder of these weights alone: OpenVINO looks at the `.xml` and not at the `.bin`.

        Raises `BundleError` for a file that OpenVINO cannot load.
        """
        said: dict[Any, Any] = {
            properties.inference_num_threads: settings.threads or usable_cpus(),
            properties.num_streams: settings.streams,
            properties.hint.inference_precision: COMPUTES_IN[precision],
            **_KEPT_KERNELS,
        }
        if cache is not None and _can_write_to(cache):
            said[properties.cache_dir] = str(cache)
        try:
            self._model: Any = ov.Core().compile_model(path, "CPU", said)
        except Exception as error:
            raise BundleError(f"{path} cannot be loaded by OpenVINO: {error}") from error
        self._names = [port.any_name for port in self._model.inputs]
        self._of_thread = threading.local()

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """Logits `[batch, outputs]`."""
        request: Any = getattr(self._of_thread, "request", None)
        if request is None:  # one is for one thread
            request = self._of_thread.request = self._model.create_infer_request()
        given = {name: np.ascontiguousarray(inputs[name]) for name in self._names}
        found = request.infer(given, share_inputs=True)
        return np.array(found[0], dtype=np.float32)


def _can_write_to(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def has_bf16() -> bool:
    """Whether OpenVINO computes in bf16 on this CPU."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
