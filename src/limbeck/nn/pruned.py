"""Encoders without some of their attention heads and feed-forward units: smaller matrices in each layer.

`intermediate_size` in `config.json` is what it then is. Fewer heads of the same size are no sizes that a configuration
can state, so `num_attention_heads` stays and `pruned_heads` names those that are gone, `{layer: [head, ...]}`, as
transformers wrote and read it up to version 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import prune_linear_layer

from limbeck.errors import BaseModelError, UsageError

# What families call the width of the feed-forward layers, and the number of heads.
_UNITS = ("intermediate_size", "hidden_dim")
_HEADS = ("num_attention_heads", "n_heads")


@dataclass(frozen=True, slots=True)
class _Names:
    """Paths below a layer: the attention, its linear maps to heads, the one back, and those of the feed-forward.

    `distances` are maps to heads that read distances and no text.
    """

    attention: str
    maps: tuple[str, ...]
    output: str
    up: str
    down: str
    distances: tuple[str, ...] = ()


_BERT = _Names(
    "attention.self", ("query", "key", "value"), "attention.output.dense", "intermediate.dense", "output.dense"
)
_FAMILIES = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra"), _BERT),
    "deberta-v2": _Names(
        "attention.self",
        ("query_proj", "key_proj", "value_proj"),
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
        ("pos_key_proj", "pos_query_proj"),
    ),
    "mpnet": _Names("attention.attn", ("q", "k", "v"), "attention.attn.o", "intermediate.dense", "output.dense"),
    "distilbert": _Names("attention", ("q_lin", "k_lin", "v_lin"), "attention.out_lin", "ffn.lin1", "ffn.lin2"),
    "albert": _Names("attention", ("query", "key", "value"), "attention.dense", "ffn", "ffn_output"),
    "modernbert": _Names("attn", ("Wqkv",), "attn.Wo", "mlp.Wi", "mlp.Wo"),
}


class PrunableLayer:
    """The linear maps of one layer, whatever its family calls them."""

    def __init__(self, layer: nn.Module, names: _Names) -> None:
        self._layer, self._names = layer, names
        self.attention = layer.get_submodule(names.attention)

    @property
    def maps(self) -> list[nn.Linear]:
        """What gives queries, keys and values."""
        return [getattr(self.attention, name) for name in self._names.maps]

    @property
    def output(self) -> nn.Linear:
        """What reads all heads `[batch, length, heads * head size]`, one beside the other."""
        return self._linear(self._names.output)

    @property
    def up(self) -> nn.Linear:
        """What gives the units; of gated units the gates too."""
        return self._linear(self._names.up)

    @property
    def down(self) -> nn.Linear:
        """What reads the units `[batch, length, units]`."""
        return self._linear(self._names.down)

    def keep_heads(self, heads: Sequence[int], size: int) -> None:
        """Remove all other heads; each is `size` wide."""
        columns = torch.tensor([head * size + i for head in heads for i in range(size)])
        before = self.output.in_features
        for name in (*self._names.maps, *self._names.distances):
            if hasattr(self.attention, name):
                setattr(self.attention, name, _with_outputs(getattr(self.attention, name), columns, before))
        self._replace(self._names.output, _pruned(self.output, columns, dim=1))
        sizes = dict.fromkeys(_HEADS, len(heads)) | {"all_head_size": len(columns)}
        for name, value in sizes.items():
            if hasattr(self.attention, name):
                setattr(self.attention, name, value)

    def keep_units(self, units: Sequence[int]) -> None:
        """Remove all other feed-forward units."""
        kept = torch.tensor(units)
        self._replace(self._names.up, _with_outputs(self.up, kept, self.down.in_features))
        self._replace(self._names.down, _pruned(self.down, kept, dim=1))

    def _linear(self, path: str) -> nn.Linear:
        return cast(nn.Linear, self._layer.get_submodule(path))

    def _replace(self, path: str, linear: nn.Linear) -> None:
        self._layer.set_submodule(path, linear)


def prunable_layers(encoder: Any) -> list[PrunableLayer]:
    """The different layers of an encoder from the input up, so one alone where all share their weights (ALBERT).

    Raises `UsageError` for a family of which none can be removed here.
    """
    check_prunable(encoder.config)
    names = _FAMILIES[encoder.config.model_type]
    wanted = (names.attention, names.output, names.up, names.down)
    return [PrunableLayer(m, names) for m in encoder.modules() if all(_has(m, path) for path in wanted)]


def check_prunable(config: Any) -> None:
    """Raises `UsageError` for a family whose heads and units cannot be removed here."""
    if config.model_type not in _FAMILIES:
        raise UsageError(
            f"heads and feed-forward units of {config.model_type} cannot be removed: expected an encoder of "
            f"{', '.join(_FAMILIES)}; name the student's layers instead, as L3"
        )


def has_pruned_heads(config: Any) -> bool:
    """Whether heads were removed."""
    return bool(getattr(config, "pruned_heads", None))


def check_whole(base: str, config: Any) -> None:
    """Raises `BaseModelError` for a base whose heads were removed: its weights fit no class of transformers."""
    if has_pruned_heads(config):
        raise BaseModelError(
            f"{base}: attention heads were removed from it, and such an encoder is no base: expected one with all of "
            "its heads, as the base of its teacher"
        )


def kept_heads(config: Any) -> int:
    """The heads that each layer has: all, or those that were not removed."""
    removed = getattr(config, "pruned_heads", None) or {"": ()}
    heads: int = config.num_attention_heads - len(next(iter(removed.values())))
    return heads


def attention_width(config: Any) -> int:
    """The width of all heads of a layer together: less than `hidden_size` where heads were removed."""
    return kept_heads(config) * _head_size(config)


def units(config: Any) -> int:
    """The feed-forward units of each layer."""
    found: int = getattr(config, units_name(config))
    return found


def shares_heads(encoder: Any) -> bool:
    """Whether head i of one layer belongs with head i of all others: they share their biases by distance (MPNet)."""
    return _distance_biases(encoder) is not None


def remove_heads(encoder: Any, kept: Sequence[Sequence[int]]) -> None:
    """Keep only these heads, for each of the different layers as many, counted from 0 among those it now has."""
    config = encoder.config
    there = _heads_there(config, len(kept))
    removed = [
        sorted(set(range(config.num_attention_heads)) - {t[i] for i in k}) for t, k in zip(there, kept, strict=True)
    ]
    _shrink_heads(encoder, kept)
    if removed[0]:
        config.pruned_heads = dict(enumerate(removed))


def remove_units(encoder: Any, kept: Sequence[Sequence[int]]) -> None:
    """Keep only these feed-forward units, for each of the different layers as many."""
    for layer, chosen in zip(prunable_layers(encoder), kept, strict=True):
        layer.keep_units(chosen)
    setattr(encoder.config, units_name(encoder.config), len(kept[0]))


def shrink_as_configured(encoder: Any) -> None:
    """Give an encoder that was built with all heads the sizes that its configuration states, for weights to come."""
    if has_pruned_heads(encoder.config):
        _shrink_heads(encoder, _heads_there(encoder.config, len(prunable_layers(encoder))))


def _shrink_heads(encoder: Any, kept: Sequence[Sequence[int]]) -> None:
    for layer, heads in zip(prunable_layers(encoder), kept, strict=True):
        layer.keep_heads(heads, _head_size(encoder.config))
    biases = _distance_biases(encoder)
    if biases is not None:
        biases.weight = nn.Parameter(biases.weight.detach()[:, list(kept[0])].clone())
        biases.embedding_dim = encoder.encoder.n_heads = len(kept[0])


def _heads_there(config: Any, layers: int) -> list[list[int]]:
    """The heads that each layer still has, by the numbers they had when none was removed."""
    removed = {int(layer): set(heads) for layer, heads in (getattr(config, "pruned_heads", None) or {}).items()}
    return [[h for h in range(config.num_attention_heads) if h not in removed.get(i, ())] for i in range(layers)]


def _distance_biases(encoder: Any) -> nn.Embedding | None:
    if not _has(encoder, "encoder.relative_attention_bias"):
        return None
    return cast(nn.Embedding, encoder.encoder.relative_attention_bias)


def _with_outputs(linear: nn.Linear, kept: Tensor, width: int) -> nn.Linear:
    """`linear` with these of each `width` of its outputs; queries, keys and values, or gates, may follow each other."""
    starts = torch.arange(0, linear.out_features, width)
    return _pruned(linear, (starts[:, None] + kept).flatten(), dim=0)


def _pruned(linear: nn.Linear, kept: Tensor, *, dim: int) -> nn.Linear:
    return cast(nn.Linear, prune_linear_layer(linear, kept, dim=dim))


def _head_size(config: Any) -> int:
    size: int = config.hidden_size // config.num_attention_heads
    return size


def units_name(config: Any) -> str:
    """What the family calls the width of the feed-forward layers."""
    return next(name for name in _UNITS if hasattr(config, name))


def _has(module: nn.Module, path: str) -> bool:
    try:
        module.get_submodule(path)
    except AttributeError:
        return False
    return True
