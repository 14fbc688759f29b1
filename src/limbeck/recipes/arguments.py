"""What the recipes' signatures share."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from limbeck.errors import UsageError
from limbeck.measure import usable_cpus

RECORDED_PACKAGES = (
    "limbeck",
    "torch",
    "transformers",
    "tokenizers",
    "onnx",
    "onnxruntime",
    "numpy",
)


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that an argument may be: from `least` to `most`, `least` itself unless `above`."""

    least: float
    most: float = math.inf
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` is one of them; NaN never is."""
        return (self.least < value if self.above else self.least <= value) and value <= self.most

    def __str__(self) -> str:
        low = f"more than {self.least:g}" if self.above else f"{self.least:g} or more"
        return low if self.most == math.inf else f"{low}, at most {self.most:g}"


RANGES = {
    "epochs": Range(1),
    "batch": Range(1),
    "accumulate": Range(1),
    "learning_rate": Range(0, 1, above=True),
    "warmup": Range(0, 1),
    "weight_decay": Range(0),
    "dropout": Range(0, 0.9),
    "max_grad_norm": Range(0, above=True),
    "patience": Range(1),
    "label_smoothing": Range(0, 0.5),
    "r_drop": Range(0),
    "adversarial_size": Range(0, above=True),
    "layer_decay": Range(0, 1, above=True),
    "ema": Range(0, 0.99999),
    "temperature": Range(0.1, 100),
    "target_speedup": Range(1, above=True),
    "train_last": Range(0),
    "layers_first": Range(0),
    "general_epochs": Range(1),
    "budget_tokens": Range(8),
    "checkpoint_seconds": Range(0),
    "seed": Range(0, 2**63 - 1),
    "vocabulary_size": Range(100),
    "rows": Range(1),
    "threads": Range(1, 1024),
    "max_drop": Range(-100, 100),
    "copies": Range(1),
    "share": Range(0, 1, above=True),
    "top_k": Range(1),
    "beams": Range(0),
}


def check_numbers(**arguments: Any) -> None:
    """Hold the arguments that have a range against it; those that are None or have none pass.

    Raises `UsageError` naming all that are out of range.
    """
    wrong = [
        f"--{name.replace('_', '-')} {value:g}: expected {RANGES[name]}"
        for name, value in arguments.items()
        if name in RANGES and value is not None and not RANGES[name].holds(value)
    ]
    if wrong:
        raise UsageError("; ".join(wrong))


def too_many_threads(threads: int | None) -> list[str]:
    """What is to be said of more compute threads than there are CPUs to use; nothing of as many or fewer."""
    allowed = usable_cpus()
    if threads is None or threads <= allowed:
        return []
    return [f"{threads} threads on {allowed} CPUs wait for one another: take --threads {allowed}."]


def fingerprint(arguments: dict[str, Any], data_sha256: str) -> str:
    """What a stage depends on, as a hash: equal arguments over equal rows need no second run."""
    text = json.dumps([arguments, data_sha256, installed_versions()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def made_otherwise(out: Path, before: dict[str, Any], now: dict[str, Any], rows: str) -> UsageError:
    """The error that `out` was made with the arguments `before`, which are not those of `now`, or of other `rows`."""
    other = [f"--{k.replace('_', '-')} {before.get(k)}" for k, v in now.items() if k != "data" and before.get(k) != v]
    return UsageError(
        f"{out} exists and was made with {', '.join(other) or f'other {rows}, or other versions of the libraries'}: "
        "choose another --out, or replace it with --overwrite"
    )


def installed_versions() -> dict[str, str]:
    """The versions of the libraries whose work a bundle holds."""
    found = {}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
