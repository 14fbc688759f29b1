"""ONNX Runtime: the engine that is always there, on the CPU or, where its CUDA build is installed, on an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from limbeck.engines.base import Arrays
from limbeck.engines.settings import DEFAULT, Device, Settings
from limbeck.errors import BundleError, UsageError
from limbeck.measure import usable_cpus

# It would make a sum and its norm one operator, which takes several times as long as the two.
_SLOWER_ON_CPUS = ["SkipLayerNormFusion"]
_PROVIDERS: dict[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def session_options(settings: Settings = DEFAULT) -> ort.SessionOptions:
    """Options of a session for texts of many lengths.

    ONNX Runtime's own default for threads counts the machine's cores and cannot see a container's quota. Its telemetry
    is switched off.
    """
    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(1, (settings.threads or usable_cpus()) // settings.streams)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spinning)))
    # Plans made for one shape would pile up over the many shapes of text.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return options


def open_session(model: Path | bytes, settings: Settings = DEFAULT) -> ort.InferenceSession:
    """A session of a file, or of a graph in bytes."""
    return ort.InferenceSession(
        model,
        session_options(settings),
        providers=[_PROVIDERS[settings.device]],
        disabled_optimizers=_SLOWER_ON_CPUS if settings.device == "cpu" else [],
    )


class OnnxRuntimeEngine:
    """An ONNX file in a session of its own."""

    def __init__(self, path: Path, settings: Settings = DEFAULT) -> None:
        """Load `path`.

        Raises `BundleError` for a file that ONNX Runtime cannot load, and `UsageError` for a device that it cannot use.
        """
        provider = _PROVIDERS[settings.device]
        if provider not in ort.get_available_providers():
            raise UsageError(
                f"--device {settings.device}: this ONNX Runtime runs on the CPU alone; for NVIDIA GPUs put "
                "onnxruntime-gpu in its place: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
            )
        try:
            self._session = open_session(path, settings)
        except Exception as error:
            raise BundleError(f"{path} cannot be loaded by ONNX Runtime: {error}") from error
        if provider not in self._session.get_providers():  # it falls back to the CPU without a word
            raise UsageError(
                f"--device {settings.device}: ONNX Runtime found no GPU that it can use: see to the driver and to the "
                "CUDA and cuDNN that this onnxruntime-gpu was built for"
            )
        self._names = [node.name for node in self._session.get_inputs()]
        self._bound = settings.device != "cpu"

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        """Logits `[batch, outputs]`."""
        given = {name: inputs[name] for name in self._names}
        (logits,) = self._run_bound(given) if self._bound else self._session.run(None, given)
        return np.asarray(logits, dtype=np.float32)

    def _run_bound(self, inputs: Arrays) -> list[NDArray[np.float32]]:
        """Each array is copied to the device once, and logits back once."""
        binding = self._session.io_binding()
        for name, values in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(values))
        for output in self._session.get_outputs():
            binding.bind_output(output.name)
        self._session.run_with_iobinding(binding)
        found: list[NDArray[np.float32]] = binding.copy_outputs_to_cpu()
        return found
