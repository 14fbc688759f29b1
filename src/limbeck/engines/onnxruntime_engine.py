"""ONNX Runtime on the CPU: the engine that is always there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from limbeck.engines.base import Arrays
from limbeck.engines.settings import DEFAULT, Settings
from limbeck.errors import BundleError
from limbeck.measure import usable_cpus


class OnnxRuntimeEngine:
    """An ONNX file in a session of its own."""

    def __init__(self, path: Path, settings: Settings = DEFAULT) -> None:
        """Load `path`.

        ONNX Runtime's own default for threads counts the machine's cores and cannot see a container's quota. Its
        telemetry is switched off.

        Raises `BundleError` for a file that ONNX Runtime cannot load.
        """
        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.intra_op_num_threads = max(1, (settings.threads or usable_cpus()) // settings.streams)
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spinning)))
        # Plans made for one shape would pile up over the many shapes of text.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise BundleError(f"{path} cannot be loaded by ONNX Runtime: {error}") from error
        self._names = [node.name for node in self._session.get_inputs()]

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """Logits `[batch, outputs]`."""
        (logits,) = self._session.run(None, {name: inputs[name] for name in self._names})
        return np.asarray(logits, dtype=np.float32)
