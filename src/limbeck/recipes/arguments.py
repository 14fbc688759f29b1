"""What the recipes' signatures share."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

RECORDED_PACKAGES = (
    "limbeck",
    "torch",
    "transformers",
    "tokenizers",
    "onnx",
    "onnxruntime",
    "numpy",
)


def fingerprint(arguments: dict[str, Any], data_sha256: str) -> str:
    """What a stage depends on, as a hash: equal arguments over equal rows need no second run."""
    text = json.dumps([arguments, data_sha256, installed_versions()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def installed_versions() -> dict[str, str]:
    """The versions of the libraries whose work a bundle holds."""
    found = {}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
