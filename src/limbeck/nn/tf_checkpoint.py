"""BERT checkpoints of TensorFlow as Hugging Face folders: `config.json`, `model.safetensors`, tokenizer files.

Read are the checkpoints of google-research/bert (TensorFlow 1) and of the Model Garden's `BertEncoder` (TensorFlow 2),
each with `bert_config.json` and `vocab.txt` beside it. TensorFlow itself is not needed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file
from transformers import BertConfig, BertTokenizer

from limbeck.errors import BaseModelError, UsageError
from limbeck.files import as_usual, folder_when_written, sha256_of, user_cache
from limbeck.nn.tensor_bundle import read_bundle_index
from limbeck.nn.tf_weights import read_weights

CONVERSION = 1  # goes up when the same checkpoint would be converted otherwise; part of the name in the cache
_CONFIGS = ("bert_config.json", "config.json")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Both Google's `gelu` and the Model Garden's are the tanh form of Hendrycks and Gimpel 2016.
_ACTIVATIONS = {"gelu": "gelu_pytorch_tanh", "relu": "relu", "tanh": "tanh"}


@dataclass(frozen=True, slots=True)
class Conversion:
    """A checkpoint that became a Hugging Face folder; `left_out` are variables of heads that it has no place for."""

    checkpoint: str
    folder: str
    format: str
    architecture: str
    parameters: int
    vocabulary: int
    cased: bool
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        case = "cased" if self.cased else "uncased"
        left_out = f"; left out: {', '.join(self.left_out)}" if self.left_out else ""
        return (
            f"{self.checkpoint} ({self.format}) → {self.folder}: {self.architecture}, {self.parameters:,} parameters, "
            f"{self.vocabulary:,} {case} tokens{left_out}"
        )


@dataclass(frozen=True, slots=True)
class _Source:
    prefix: Path
    config: Path
    vocab: Path


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is the folder of a TensorFlow checkpoint, or the prefix of its files."""
    if not path.is_dir():
        return path.with_name(f"{path.name}.index").is_file()
    return not any((path / name).is_file() for name in _WEIGHTS) and (
        (path / "bert_config.json").is_file() or any(path.glob("*.index"))
    )


def cached_conversion(checkpoint: Path) -> tuple[Path, Conversion | None]:
    """The folder that the checkpoint was converted to, under the user's cache, and the conversion if it was made now.

    Equal files have one folder, wherever they lie. Raises `BaseModelError` as `convert_checkpoint` does.
    """
    source = _find(checkpoint)
    shards = sorted(source.prefix.parent.glob(f"{source.prefix.name}.data-*"))
    files = (source.config, source.vocab, source.prefix.with_name(f"{source.prefix.name}.index"), *shards)
    mark = hashlib.sha256(" ".join((str(CONVERSION), *map(sha256_of, files))).encode()).hexdigest()[:32]
    folder = user_cache() / "converted" / mark
    if folder.is_dir():  # it is whole: it was renamed into place
        return folder, None
    return folder, convert_checkpoint(checkpoint, folder)


def convert_checkpoint(checkpoint: Path, out: Path) -> Conversion:
    """Write the checkpoint (its folder, or the prefix of its files) as a Hugging Face folder to `out`.

    The pre-training heads come along where the checkpoint has them. Optimizer slots and counters do not.

    Raises `UsageError` where `out` is taken, and `BaseModelError` for files that are missing or damaged, for the
    checkpoint of another model, and for variables that are missing, unknown or of another shape, all in one message.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} exists: choose another place")
    source = _find(checkpoint)
    config = _config(source.config)
    vocabulary = _vocabulary(source.vocab, config)
    weights = read_weights(read_bundle_index(source.prefix), config)
    config.architectures = [weights.architecture]
    cased = any(re.search("[A-Z]", token) for token in vocabulary if not token.startswith("["))
    with folder_when_written(out) as folder:
        save_file(weights.arrays, folder / "model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(folder)
        tokenizer = BertTokenizer(
            vocab=vocabulary, do_lower_case=not cased, model_max_length=config.max_position_embeddings
        )
        tokenizer.save_pretrained(folder)
        shutil.copyfile(source.vocab, folder / "vocab.txt")
        as_usual(folder)
    return Conversion(
        checkpoint=str(source.prefix),
        folder=str(out),
        format=weights.format,
        architecture=weights.architecture,
        parameters=sum(array.size for array in weights.arrays.values()),
        vocabulary=len(vocabulary),
        cased=cased,
        left_out=weights.left_out,
    )


def _find(checkpoint: Path) -> _Source:
    """The files of a checkpoint. Raises `BaseModelError` naming all that are missing."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    prefix = _latest(folder) if checkpoint.is_dir() else checkpoint
    config = next((folder / name for name in _CONFIGS if (folder / name).is_file()), None)
    missing = [] if config else ["bert_config.json"]
    missing += [] if (folder / "vocab.txt").is_file() else ["vocab.txt"]
    if prefix is None or not prefix.with_name(f"{prefix.name}.index").is_file():
        missing.append("the checkpoint's .index file, such as bert_model.ckpt.index")
    if missing or config is None or prefix is None:
        raise BaseModelError(
            f"{folder} is no whole BERT checkpoint of TensorFlow: expected bert_config.json, vocab.txt and "
            f"bert_model.ckpt.index with its .data files; missing: {', '.join(missing)}"
        )
    return _Source(prefix, config, folder / "vocab.txt")


def _latest(folder: Path) -> Path | None:
    """The prefix of the only checkpoint of a folder, or of the one that TensorFlow's file `checkpoint` names."""
    found = sorted(path.with_suffix("") for path in folder.glob("*.index"))
    state = folder / "checkpoint"
    if len(found) > 1 and state.is_file():
        named = re.search(r'^model_checkpoint_path: "(.*)"', state.read_text(encoding="utf-8"), re.MULTILINE)
        found = [path for path in found if named and path.name == Path(named[1]).name]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise BaseModelError(f"{folder} holds several checkpoints ({names}): name one, as {found[-1]}")
    return found[0] if found else None


def _config(path: Path) -> Any:
    """The encoder's configuration, from Google's names, which are Hugging Face's too."""
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        activation = stated["hidden_act"]
        known = {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"}
        lacking = known - stated.keys()
    except (ValueError, KeyError, TypeError) as error:
        raise BaseModelError(f"{path} is no configuration of BERT: {error}") from error
    if lacking:
        raise BaseModelError(f"{path} is no configuration of BERT: it lacks {', '.join(sorted(lacking))}")
    if activation not in _ACTIVATIONS:
        raise BaseModelError(f"{path}: hidden_act {activation!r}; expected one of {', '.join(_ACTIVATIONS)}")
    if stated.get("embedding_size", stated["hidden_size"]) != stated["hidden_size"] or "num_hidden_groups" in stated:
        name = "ALBERT" if "num_hidden_groups" in stated else "ELECTRA or ALBERT"
        raise BaseModelError(f"{path} is of {name}, whose embeddings are factorised; only BERT's checkpoints are read")
    kept = {key: value for key, value in stated.items() if key in BertConfig().to_dict()}
    return BertConfig(**{**kept, "hidden_act": _ACTIVATIONS[activation], "layer_norm_eps": 1e-12, "pad_token_id": 0})


def _vocabulary(path: Path, config: Any) -> dict[str, int]:
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise BaseModelError(f"{path} is not UTF-8: {error}") from error
    vocabulary = {line.strip(): number for number, line in enumerate(lines)}
    lacking = [token for token in _SPECIAL if token not in vocabulary]
    if lacking:
        raise BaseModelError(f"{path} is no vocabulary of BERT, one token a line: it lacks {', '.join(lacking)}")
    if len(lines) > config.vocab_size:
        raise BaseModelError(
            f"{path} has {len(lines):,} tokens and the encoder {config.vocab_size:,}: they do not belong together"
        )
    config.pad_token_id = vocabulary["[PAD]"]
    return vocabulary
