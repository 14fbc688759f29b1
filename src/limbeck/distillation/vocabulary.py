"""The embeddings of a vocabulary that was cut: see `limbeck.text.trimming`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from limbeck.nn.base import COUNT_FROM_PADDING
from limbeck.nn.model import TextModel


def needed_ids(model: TextModel) -> set[int]:
    """The ids that an encoder must keep: those that its configuration names, and those that positions count from."""
    config = model.config
    named = {value for key, value in config.to_dict().items() if key.endswith("_token_id") and isinstance(value, int)}
    padding = model.encoder.get_input_embeddings().padding_idx
    if padding is not None:
        named |= set(range(padding + 1)) if config.model_type in COUNT_FROM_PADDING else {padding}
    return {i for i in named if 0 <= i < config.vocab_size}


def trim_embeddings(model: TextModel, kept: NDArray[np.int64]) -> int:
    """Leave `model` only the embeddings of the tokens `kept`, numbered anew; returns how many parameters it loses."""
    embeddings: nn.Embedding = model.encoder.get_input_embeddings()
    before = embeddings.weight.numel()
    with torch.no_grad():
        rows = embeddings.weight[torch.from_numpy(kept).to(embeddings.weight.device)]
    embeddings.weight = nn.Parameter(rows)
    embeddings.num_embeddings = len(kept)
    new = {int(old): number for number, old in enumerate(kept)}
    if embeddings.padding_idx is not None:
        embeddings.padding_idx = new[embeddings.padding_idx]
    for config in (model.config, model.encoder.config):
        if config.vocab_size != len(kept):
            for key, value in config.to_dict().items():
                if key.endswith("_token_id") and isinstance(value, int):
                    setattr(config, key, new.get(value))
            config.vocab_size = len(kept)
    return before - rows.numel()
