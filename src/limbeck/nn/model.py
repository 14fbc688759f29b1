"""A base with a head for a text task.

The default head is the Hugging Face class of the encoder (`pooler`), so that a bundle is a plain model repository.
`cls` and `mean` are ours: a linear layer on the pooled hidden states, beside a plain `AutoModel`; for `embed` without
the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.utils import SAFE_WEIGHTS_NAME

from limbeck.bundle import Head
from limbeck.errors import BaseModelError, UsageError
from limbeck.nn.base import load_config, quiet_loading
from limbeck.nn.pruned import check_whole, has_pruned_heads, shrink_as_configured
from limbeck.nn.sentence import SentenceEncoder, mean_pool
from limbeck.tasks import AnyTask, Embed, Tag

HEAD_FILE = "head.safetensors"
_PROBLEM_TYPES = {
    "classify": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regress": "regression",
}
# Heads that are whole Hugging Face classes.
_WHOLE = {
    "pooler": AutoModelForSequenceClassification,
    "tokens": AutoModelForTokenClassification,
    "spans": AutoModelForQuestionAnswering,
}
HEADS = ("pooler", "cls", "mean", "tokens", "spans")
READS_TOKENS = ("tokens", "spans")


_HIDDEN_DROPOUT = (
    "hidden_dropout_prob",
    "dropout",
    "mlp_dropout",
    "classifier_dropout",
    "classifier_dropout_prob",
    "seq_classif_dropout",
    "summary_last_dropout",
    "pooler_dropout",
)
# Dropping attention weights needs a random number for each pair of tokens and rules out fused attention: on texts of
# 256 tokens a training step on two busy CPU cores took one and a half to two times as long with it.
_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


class PooledClassifier(nn.Module):
    """A plain encoder, `cls` or `mean` pooling, dropout, and one linear layer."""

    def __init__(self, encoder: Any, pooling: Head, outputs: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.config: Any = encoder.config
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.config.hidden_size, outputs)

    def forward(self, **inputs: Tensor) -> Tensor:
        """Logits `[batch, outputs]` from `input_ids`, `attention_mask` and what else the encoder takes."""
        hidden: Tensor = self.encoder(**inputs).last_hidden_state
        pooled = hidden[:, 0] if self.pooling == "cls" else mean_pool(hidden, inputs["attention_mask"])
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits


class TextModel(nn.Module):
    """One forward for every kind of head: named input tensors in, logits out.

    `[batch, outputs]`, or where each token is read by itself `[batch, length, outputs]`. `masked` answers with hidden
    states and leaves the head to the loss: see `LanguageModel`.
    """

    def __init__(self, inner: nn.Module, pooling: Head | Literal["masked"]) -> None:
        super().__init__()
        self.inner = inner
        self.pooling = pooling
        self.config: Any = inner.config

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs that the encoder takes, in the order of the exported graph."""
        if getattr(self.config, "type_vocab_size", 0) > 1:
            return ("input_ids", "attention_mask", "token_type_ids")
        return ("input_ids", "attention_mask")

    @property
    def parameter_count(self) -> int:
        """How many parameters the Hugging Face model has."""
        return sum(p.numel() for p in self.inner.parameters())

    @property
    def encoder(self) -> Any:
        """The encoder without its head."""
        if self.pooling in _WHOLE:
            return getattr(self.inner, self.inner.base_model_prefix)  # type: ignore[call-overload]
        return self.inner.encoder

    def forward(self, **inputs: Tensor) -> Tensor:
        """Logits `[batch, outputs]`, float32."""
        output = self.inner(**{name: inputs[name] for name in self.input_names})
        if self.pooling == "spans":
            return torch.stack([output.start_logits, output.end_logits], dim=2).float()
        logits: Tensor = output if isinstance(output, Tensor) else output.logits
        return logits.float()


def new_model(base: str, task: AnyTask, *, pooling: Head = "pooler", dropout: float = 0.1) -> TextModel:
    """The encoder of `base` (a folder or hub id) with a fresh head for `task`; its own where it has the very labels.

    Raises `BaseModelError` where the base cannot be loaded, or where heads were removed from it, `UsageError` for an
    unknown pooling.
    """
    names: dict[str, Any] = {}
    if not isinstance(task, Embed):
        names = {"num_labels": task.outputs, "problem_type": _PROBLEM_TYPES.get(task.name)}
    outputs = task.tags if isinstance(task, Tag) else task.labels
    if outputs:
        names |= {"id2label": dict(enumerate(outputs)), "label2id": {name: i for i, name in enumerate(outputs)}}
    config = load_config(base, **names)
    check_whole(base, config)
    set_dropout(config, dropout)
    fresh = pooling in _WHOLE and not _keeps_head(base, config, task)
    return _with_head(base, config, pooling, task, dropout, fresh_head=fresh)


def random_model(config: Any, task: AnyTask, *, pooling: Head, dropout: float) -> TextModel:
    """An encoder of this configuration with a head for `task`, its weights from PyTorch's global random state."""
    inner = _inner(lambda kind: kind.from_config(config, dtype=torch.float32), pooling, task, dropout)
    model = TextModel(inner, pooling)
    shrink_as_configured(model.encoder)
    return model


def set_dropout(config: Any, dropout: float) -> None:
    """Give all hidden states of an encoder this dropout, whatever its family calls it, and its attention none."""
    for name in _HIDDEN_DROPOUT:
        if isinstance(getattr(config, name, None), float):
            setattr(config, name, dropout)
    for name in _ATTENTION_DROPOUT:
        if isinstance(getattr(config, name, None), float):
            setattr(config, name, 0.0)


def _with_head(
    base: str, config: Any, pooling: Head, task: AnyTask, dropout: float, *, fresh_head: bool = False
) -> TextModel:
    if pooling not in HEADS:
        raise UsageError(f"unknown pooling {pooling!r}: expected one of {', '.join(HEADS)}")

    def load(kind: Any) -> Any:
        if not fresh_head:
            return kind.from_pretrained(base, config=config, dtype=torch.float32)
        model, found = kind.from_pretrained(
            base, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, output_loading_info=True
        )
        _renew_head(model, kind, missing=found["missing_keys"], mismatched=found["mismatched_keys"])
        return model

    try:
        with quiet_loading():
            inner = _inner(load, pooling, task, dropout)
    except (OSError, ValueError, SafetensorError) as error:
        raise BaseModelError(f"cannot load an encoder from {base!r}: {error}") from error
    return TextModel(inner, pooling)


def _keeps_head(base: str, config: Any, task: AnyTask) -> bool:
    """Whether a head that the base may have says what the task asks: spans, or these very classes in their order."""
    return task.name == "answer" or (task.name != "regress" and load_config(base).id2label == config.id2label)


def _renew_head(model: Any, kind: Any, *, missing: Collection[str], mismatched: Collection[tuple[Any, ...]]) -> None:
    """Give a model of a class of transformers a fresh head, unless all of it was missing and is fresh already.

    Raises `ValueError` where weights of the encoder are `mismatched`: of other sizes than its configuration states.
    """
    head = [name for name, _ in model.named_children() if name != model.base_model_prefix]
    if wrong := [name for name, *_ in mismatched if name.partition(".")[0] not in head]:
        raise ValueError(f"its weights are of other sizes than config.json states: {', '.join(wrong[:3])}")
    if {name for name, _ in model.named_parameters() if name.partition(".")[0] in head} <= set(missing):
        return
    fresh = kind.from_config(model.config, dtype=torch.float32)
    for name in head:
        setattr(model, name, getattr(fresh, name))


def _inner(make: Callable[[Any], Any], pooling: Head, task: AnyTask, dropout: float) -> nn.Module:
    """The module around the encoder; `make` makes a model of a class of transformers."""
    if pooling in _WHOLE:
        whole: nn.Module = make(_WHOLE[pooling])
        return whole
    encoder = make(AutoModel)
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # unused weights would neither train nor decay
    if isinstance(task, Embed):
        return SentenceEncoder(encoder, pooling, normalized=task.normalized)
    return PooledClassifier(encoder, pooling, task.outputs, dropout)


def save_model(model: TextModel, folder: Path) -> None:
    """Write `config.json`, `model.safetensors` and, for our own heads, `head.safetensors` into `folder`."""
    with quiet_loading():
        _saved(model).save_pretrained(folder)
    if not isinstance(model.inner, PooledClassifier):
        return
    head = {name: tensor.contiguous() for name, tensor in model.inner.classifier.state_dict().items()}
    save_file(head, folder / HEAD_FILE)


def _saved(model: TextModel) -> Any:
    """What `save_pretrained` writes: the whole class of transformers, or the encoder beside a head of ours."""
    return model.inner if model.pooling in _WHOLE else model.inner.encoder


def load_model(folder: Path, task: AnyTask, *, pooling: Head, attention: str | None = None) -> TextModel:
    """The model that `save_model` wrote, in evaluation mode.

    `attention` picks the attention implementation (`eager`, `sdpa`); None takes the library's own choice.
    """
    config = load_config(str(folder))
    if has_pruned_heads(config):
        model = _pruned_model(folder, config, pooling, task)
    else:
        model = _with_head(str(folder), config, pooling, task, dropout=0.0)
    if attention is not None:
        model.encoder.set_attn_implementation(attention)
    if isinstance(model.inner, PooledClassifier):
        model.inner.classifier.load_state_dict(load_file(folder / HEAD_FILE))
    return model.eval()


def _pruned_model(folder: Path, config: Any, pooling: Head, task: AnyTask) -> TextModel:
    """With the sizes that its weights have: transformers would build all heads."""
    model = random_model(config, task, pooling=pooling, dropout=0.0)
    try:
        _saved(model).load_state_dict(load_file(folder / SAFE_WEIGHTS_NAME))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise BaseModelError(f"cannot load a pruned encoder from '{folder}': {error}") from error
    return model


def checkpoint_gradients(model: TextModel) -> None:
    """Keep only the inputs of each layer for the backward pass and compute the rest again (Chen et al. 2016).

    Raises `UsageError` for an encoder that cannot.
    """
    encoder = model.encoder
    # The same thing under its newer name, where transformers has that: the older one warns there.
    enable = getattr(encoder, "activation_checkpointing_enable", None) or encoder.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise UsageError(f"--gradient-checkpointing: this encoder cannot, so leave it out ({error})") from error
    encoder.config.use_cache = False  # of decoders; transformers would say at the first step that it does so


def fold_scale(model: TextModel, *, mean: float, scale: float) -> None:
    """Change the last linear layer so that the model answers `old * scale + mean`.

    Regression is trained on standardised labels; folding the unit into the weights keeps the model a plain one.
    """
    last = _last_linear(model)
    with torch.no_grad():
        last.weight.mul_(scale)
        last.bias.mul_(scale).add_(mean)


def set_bias(model: TextModel, bias: NDArray[np.float32]) -> None:
    """Set the bias of the last linear layer, `[outputs]`: about what a fresh head answers to every text."""
    with torch.no_grad():
        _last_linear(model).bias.copy_(torch.from_numpy(bias))


def _last_linear(model: TextModel) -> nn.Linear:
    return [module for module in model.inner.modules() if isinstance(module, nn.Linear)][-1]
