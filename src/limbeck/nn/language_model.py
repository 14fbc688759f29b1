"""An encoder with a language modelling head, of a base or fresh, for masked language modelling.

The head runs where tokens were chosen only: over a whole vocabulary it costs as much as several layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoModelForMaskedLM, BertConfig, BertForMaskedLM, BertForPreTraining

from limbeck.bundle import WEIGHTS
from limbeck.errors import BaseModelError, UsageError
from limbeck.nn.base import load_config, quiet_loading
from limbeck.nn.losses import NOT_LEARNT, RowLoss
from limbeck.nn.model import TextModel, set_dropout
from limbeck.nn.pruned import check_whole

Shape = Literal["tiny", "mini", "small", "medium", "base", "large"]
# Layers and hidden size of the BERT models (Devlin et al. 2019, Turc et al. 2019).
SHAPES: dict[Shape, tuple[int, int]] = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
}
HEAD_WIDTH, POSITIONS = 64, 512

# From hidden states to logits, by the attribute in which a family of models keeps its head.
_HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "cls": lambda whole, hidden: whole.cls.predictions(hidden),
    "lm_head": lambda whole, hidden: whole.lm_head(hidden),
    "lm_predictions": lambda whole, hidden: whole.lm_predictions(hidden, whole.get_input_embeddings()),
    "predictions": lambda whole, hidden: whole.predictions(hidden),
    "generator_lm_head": lambda whole, hidden: whole.generator_lm_head(whole.generator_predictions(hidden)),
    "vocab_projector": lambda whole, hidden: whole.vocab_projector(
        whole.vocab_layer_norm(whole.activation(whole.vocab_transform(hidden)))
    ),
    "decoder": lambda whole, hidden: whole.decoder(whole.head(hidden)),
}


class LanguageModel(nn.Module):
    """A Hugging Face class for masked language modelling that answers with hidden states; its heads are called apart.

    Raises `BaseModelError` where the head of this family is not known.
    """

    def __init__(self, whole: Any) -> None:
        super().__init__()
        found = next((name for name in _HEADS if hasattr(whole, name)), None)
        if found is None:
            raise BaseModelError(f"{type(whole).__name__}: no language modelling head that is known; choose another")
        self.whole = whole
        self.config: Any = whole.config
        self._head = _HEADS[found]

    @property
    def encoder(self) -> Any:
        """The encoder without its heads."""
        return self.whole.base_model

    def forward(self, **inputs: Tensor) -> Tensor:
        """Hidden states `[batch, length, hidden]`."""
        hidden: Tensor = self.encoder(**inputs).last_hidden_state
        return hidden

    def vocabulary_logits(self, hidden_states: Tensor) -> Tensor:
        """`[n, hidden]` to `[n, vocabulary]`."""
        return self._head(self.whole, hidden_states)

    def next_sentence_logits(self, hidden_states: Tensor) -> Tensor:
        """`[batch, length, hidden]` to `[batch, 2]`: the second text follows, or comes from elsewhere."""
        logits: Tensor = self.whole.cls.seq_relationship(self.encoder.pooler(hidden_states))
        return logits


@dataclass(frozen=True, slots=True)
class Started:
    """A model to pretrain, whether its heads are fresh, and the weights of a pooler that is not trained but kept."""

    model: TextModel
    fresh_head: bool = True
    fresh_next_sentence: bool = True
    pooler: dict[str, Tensor] = field(default_factory=dict)


def load_language_model(base: str, *, next_sentence: bool, dropout: float) -> Started:
    """The encoder of `base` (a folder or hub id) with its language modelling head, fresh where it has none.

    A fresh head is decoded by the word embeddings. `next_sentence` asks for that head too, which only BERT has.

    Raises `BaseModelError` where the base cannot be loaded, has no such form or lacks heads, `UsageError` for
    `next_sentence` with another family.
    """
    config = load_config(base)
    check_whole(base, config)
    set_dropout(config, dropout)
    if next_sentence and config.model_type != "bert":
        raise UsageError(f"--next-sentence is for BERT encoders; {base} is of the family {config.model_type!r}")
    kind = BertForPreTraining if next_sentence else AutoModelForMaskedLM
    try:
        with quiet_loading():
            whole, info = kind.from_pretrained(base, config=config, dtype=torch.float32, output_loading_info=True)
            # Masked language modelling alone has no use for a pooler, but a classifier that starts from the result has.
            pooled = any("pooler." in name for name in info["unexpected_keys"])
            plain = AutoModel.from_pretrained(base, dtype=torch.float32) if pooled else None
            found = getattr(plain, "pooler", None)  # some families have one for classifiers alone
            pooler = {} if found is None else found.state_dict()
    except (OSError, ValueError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise BaseModelError(f"cannot load {base!r} for masked language modelling: {first_line}") from error
    missing = [name for name in info["missing_keys"] if not name.startswith(f"{whole.base_model_prefix}.")]
    return Started(
        TextModel(LanguageModel(whole), "masked"),
        fresh_head=any("seq_relationship" not in name for name in missing),
        fresh_next_sentence=any("seq_relationship" in name for name in missing),
        pooler={f"{whole.base_model_prefix}.pooler.{name}": tensor for name, tensor in pooler.items()},
    )


def new_language_model(
    shape: Shape, *, vocabulary_size: int, pad_id: int, next_sentence: bool, dropout: float
) -> Started:
    """A BERT of random weights, of the size that `shape` names; reads 512 tokens."""
    layers, width = SHAPES[shape]
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=4 * width,
        max_position_embeddings=POSITIONS,
        pad_token_id=pad_id,
    )
    set_dropout(config, dropout)
    whole = BertForPreTraining(config) if next_sentence else BertForMaskedLM(config)
    return Started(TextModel(LanguageModel(whole), "masked"))


def save_language_model(started: Started, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` as `AutoModelForMaskedLM` and `AutoModel` read them."""
    with quiet_loading():
        heads_of(started.model).whole.save_pretrained(folder)
    if started.pooler:
        tensors = load_file(folder / WEIGHTS) | {name: tensor.contiguous() for name, tensor in started.pooler.items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def heads_of(model: TextModel) -> LanguageModel:
    """The language model within a `TextModel` that is `masked`."""
    return cast(LanguageModel, model.inner)


def language_loss(model: TextModel) -> RowLoss:
    """From hidden states `[rows, length, hidden]` and targets `[rows, 1 + length]`: the mean cross-entropy of each row.

    The first target is 0 or 1 for next-sentence prediction, whose cross-entropy is added; the others are the tokens to
    predict. NOT_LEARNT stands for nothing to predict.
    """

    def loss(hidden: Tensor, targets: Tensor) -> Tensor:
        heads, next_sentence, tokens = heads_of(model), targets[:, 0], targets[:, 1:]
        chosen = tokens != NOT_LEARNT
        entropies = functional.cross_entropy(heads.vocabulary_logits(hidden[chosen]), tokens[chosen], reduction="none")
        spread = torch.zeros(chosen.shape, device=hidden.device).masked_scatter(chosen, entropies.float())
        losses = spread.sum(dim=1) / chosen.sum(dim=1).clamp_min(1)
        if (next_sentence != NOT_LEARNT).any():
            losses = losses + functional.cross_entropy(
                heads.next_sentence_logits(hidden), next_sentence, reduction="none", ignore_index=NOT_LEARNT
            )
        return losses

    return loss
