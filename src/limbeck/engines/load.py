"""The engine of a variant, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from limbeck.bundle import Variant, open_bundle
from limbeck.engines.base import Engine
from limbeck.engines.onnxruntime_engine import OnnxRuntimeEngine
from limbeck.engines.settings import DEFAULT, Settings
from limbeck.errors import MissingExtra, UsageError

EngineName = Literal["onnxruntime", "openvino"]


def load_engine(folder: Path, variant: Variant, settings: Settings = DEFAULT, *, cache: Path | None = None) -> Engine:
    """What runs a variant of the bundle at `folder`.

    An engine that compiles for this CPU keeps what it made in the folder `cache`, and starts faster the next time.

    Raises `UsageError` for an engine that is not installed or not known, and `BundleError` for files it cannot load.
    """
    if variant.engine == "openvino" and settings.device != "cpu":
        raise UsageError(
            f"--device {settings.device}: {variant.name} runs on the CPU; name another with --variant, such as "
            "onnx-fp32"
        )
    check_installed(variant)
    if variant.engine == "onnxruntime":
        return OnnxRuntimeEngine(folder / variant.file, settings)
    if variant.engine == "openvino":
        # An extra, which takes a while to import.
        from limbeck.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(folder / variant.file, settings, precision=variant.precision, cache=cache)
    # An extra, which takes seconds to import.
    from limbeck.engines.torch_engine import load_reference

    return load_reference(open_bundle(folder), settings)


def check_installed(variant: Variant) -> None:
    """Raise `UsageError` where a variant's engine is not installed or not known."""
    if is_installed(variant.engine):
        return
    if variant.engine == "openvino":
        raise UsageError(
            f"variant {variant.name} needs openvino, which is not installed: pip install 'limbeck[openvino]', or "
            "take another, such as --variant onnx-int8"
        )
    if variant.engine == "pytorch":
        raise MissingExtra("torch", "train")
    raise UsageError(f"variant {variant.name} runs on {variant.engine!r}, which this limbeck does not know: upgrade it")


def usable_engines(said: Sequence[EngineName]) -> list[EngineName]:
    """What to compile for: ONNX Runtime always, and what else was said.

    Raises `MissingExtra` for one that is not installed, or lacks what quantises for it.
    """
    if "openvino" not in said:
        return ["onnxruntime"]
    for library in ("openvino", "nncf"):  # nncf quantises for it
        if find_spec(library) is None:
            raise MissingExtra(library, "openvino")
    return ["onnxruntime", "openvino"]


def is_installed(engine: str) -> bool:
    """Whether a variant's engine can run here; one that is not known cannot."""
    if engine == "pytorch":
        return find_spec("torch") is not None
    return engine == "onnxruntime" or (engine == "openvino" and has_openvino())


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return find_spec("openvino") is not None
