"""limbeck: from labelled text to a small, fast, proven text model.

The public names load on first use, so that `limbeck.load` never imports PyTorch.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.predictor import Predictor, load
    from limbeck.recipes.augment import augment
    from limbeck.recipes.bench import bench
    from limbeck.recipes.build import build
    from limbeck.recipes.compress import compress
    from limbeck.recipes.convert import convert
    from limbeck.recipes.distill import distill
    from limbeck.recipes.predict import predict
    from limbeck.recipes.pretrain import pretrain
    from limbeck.recipes.train import train
    from limbeck.recipes.tune import tune
    from limbeck.recipes.verify import verify

__version__ = _version("limbeck")

_HOMES = {
    "Predictor": "limbeck.predictor",
    "augment": "limbeck.recipes.augment",
    "bench": "limbeck.recipes.bench",
    "build": "limbeck.recipes.build",
    "compress": "limbeck.recipes.compress",
    "convert": "limbeck.recipes.convert",
    "distill": "limbeck.recipes.distill",
    "load": "limbeck.predictor",
    "predict": "limbeck.recipes.predict",
    "pretrain": "limbeck.recipes.pretrain",
    "train": "limbeck.recipes.train",
    "tune": "limbeck.recipes.tune",
    "verify": "limbeck.recipes.verify",
}
__all__ = [
    "Predictor",
    "__version__",
    "augment",
    "bench",
    "build",
    "compress",
    "convert",
    "distill",
    "load",
    "predict",
    "pretrain",
    "train",
    "tune",
    "verify",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'limbeck' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
