"""What goes on inside an encoder while it answers: hidden states, queries, keys and values, whatever its family."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from limbeck.nn.model import TextModel
from limbeck.training.optimizer import encoder_layers

# What families call the linear maps of an attention, by what these give.
ATTENTION_MAPS = {
    "queries": ("query", "q_lin", "q", "query_proj"),
    "keys": ("key", "k_lin", "k", "key_proj"),
    "values": ("value", "v_lin", "v", "value_proj"),
}
_ALL_THREE = "Wqkv"


@dataclass(slots=True)
class States:
    """The states of one forward pass, each `[rows, length, width]`.

    `hidden` are the embeddings, then what each layer gives; `queries`, `keys` and `values` those of each layer, before
    any rotation and without what some families add for the distance of two tokens.
    """

    hidden: list[Tensor] = field(default_factory=list)
    queries: list[Tensor] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)


@contextmanager
def captured(model: TextModel) -> Iterator[States]:
    """Inside, the next forward pass of `model` fills what this yields."""
    states = States()
    awaited = set[str]()

    def enters(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if not states.hidden:
            states.hidden.append(given[0] if given else named["hidden_states"])
        awaited.update(ATTENTION_MAPS)

    def leaves(module: nn.Module, given: Any, output: Any) -> None:
        states.hidden.append(output if isinstance(output, Tensor) else output[0])

    def keeps(kinds: list[str]) -> Any:
        def hook(module: nn.Module, given: Any, output: Tensor) -> None:
            for kind, part in zip(kinds, output.chunk(len(kinds), dim=-1), strict=True):
                if kind in awaited:  # DeBERTa sends the embeddings of positions through the same maps next
                    awaited.remove(kind)
                    getattr(states, kind).append(part)

        return hook

    with ExitStack() as stack:
        for layer in encoder_layers(model):
            handles = [layer.register_forward_pre_hook(enters, with_kwargs=True), layer.register_forward_hook(leaves)]
            for name, module in layer.named_modules():
                own = name.rpartition(".")[2]
                kinds = (
                    list(ATTENTION_MAPS)
                    if own == _ALL_THREE
                    else [kind for kind, known in ATTENTION_MAPS.items() if own in known]
                )
                if kinds and isinstance(module, nn.Linear):
                    handles.append(module.register_forward_hook(keeps(kinds)))
            for handle in handles:
                stack.callback(handle.remove)
        yield states
