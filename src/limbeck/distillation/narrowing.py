"""A narrower student that begins as its teacher: hidden states projected, heads and units reduced.

After SliceGPT (Ashkboos et al. 2024): every matrix W that reads the hidden states h is multiplied by an orthonormal
basis P `[teacher's width, student's width]`, W P, and every one that writes them by its transpose, Pᵀ W, so that the
student computes Pᵀ h. SliceGPT rotates RMSNorm, which commutes with it; for LayerNorm see `hidden_basis` and `_norm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.distillation.shapes import Shape, shape_of
from limbeck.distillation.states import ATTENTION_MAPS
from limbeck.nn.model import TextModel
from limbeck.training.optimizer import encoder_layers

FAMILIES = (
    *("albert", "bert", "camembert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta"),
    "xlm-roberta",
)
_ROTARY = ("modernbert",)
# What families call the linear maps of a layer. The first that a name ends with is meant.
_PARTS: dict[str, tuple[str, ...]] = {
    "Wqkv": ("queries", "keys", "values"),
    **{name: (part,) for part, names in ATTENTION_MAPS.items() for name in names},
    **dict.fromkeys(("attention.output.dense", "out_lin", "attn.o", "attention.dense", "attn.Wo"), ("attended",)),
    **dict.fromkeys(("intermediate.dense", "lin1", "ffn"), ("inner",)),
    "mlp.Wi": ("inner", "gate"),
    **dict.fromkeys(("output.dense", "lin2", "ffn_output", "mlp.Wo"), ("outer",)),
}
_POOLERS = ("pooler", "pooler.dense", "pre_classifier", "classifier.dense", "head.dense")
_HEADS = ("classifier", "classifier.out_proj", "qa_outputs")
_POOLED_NORM = "head.norm"
_DISTANCES = "relative_attention_bias"  # `[distances, heads]`, one for all layers


@dataclass(frozen=True, slots=True)
class _Map:
    """A linear map, or one of several that stand in one matrix: views of the model's own tensors."""

    weight: Tensor
    bias: Tensor | None


_Parts = dict[str, _Map]


def why_not_narrowed(teacher: TextModel, shape: Shape) -> str | None:
    """Why a student of this shape cannot begin as its teacher narrowed; None where it can."""
    config, theirs = teacher.config, shape_of(teacher.config)
    if config.model_type not in FAMILIES or getattr(config, "conv_kernel_size", None):
        return f"the teacher is none of {', '.join(FAMILIES)} without convolutions"
    if shape.hidden_size > theirs.hidden_size:
        return f"the student is {shape.hidden_size} wide, and its teacher {theirs.hidden_size}"
    if shape.heads > theirs.heads:
        return f"the student has {shape.heads} heads, and its teacher {theirs.heads}"
    sizes = [one.hidden_size // one.heads for one in (shape, theirs)]
    if config.model_type in _ROTARY and sizes[0] > sizes[1]:
        return f"the student's heads are {sizes[0]} wide, its teacher's {sizes[1]}, and rotated by positions"
    of_embeddings = getattr(config, "embedding_size", theirs.hidden_size)
    if of_embeddings == shape.hidden_size != theirs.hidden_size and config.model_type != "albert":
        return f"the student is as wide as the embeddings, {of_embeddings}, which its teacher maps to its own width"
    return None


def narrow(teacher: TextModel, student: TextModel, layers: tuple[int, ...], basis: Tensor) -> None:
    """Give `student` the teacher's `layers`, one for each of its own, and all else, in the `basis` of `hidden_basis`.

    Heads: those kept write most, by the norm of (Pᵀ Wo)(Wv P). Each keeps as much of its scores and of what it writes
    as its size allows, by singular value decomposition of the products of matrices that make these. Units of
    feed-forward layers and of the pooler: those whose weights, read and written, have the largest product of norms.
    What the student has more of than its teacher begins without effect.
    """
    with torch.no_grad():
        ours, theirs = encoder_layers(student), encoder_layers(teacher)
        alone = len(theirs) < teacher.config.num_hidden_layers  # ALBERT: all layers are one and the same
        sources = [theirs[0 if alone else number] for number in layers[: len(ours)]]
        projection = basis.to(next(teacher.parameters()).device)
        heads = _kept_heads(teacher, student, sources, projection)
        for layer, source, kept in zip(ours, sources, heads, strict=True):
            here, there = _parts(layer), _parts(source)
            _attention(here, there, projection, kept, teacher.config)
            _feed_forward(here, there, projection)
            for name, module in layer.named_modules():
                if isinstance(module, nn.LayerNorm):
                    _norm(module, source.get_submodule(name), projection)  # type: ignore[arg-type]
        _around(teacher, student, projection, heads[0])


def _parts(layer: nn.Module) -> _Parts:
    """The linear maps of a layer by what they do."""
    found: _Parts = {}
    for name, module in layer.named_modules():
        if isinstance(module, nn.Linear):
            does = next(does for own, does in _PARTS.items() if f".{name}".endswith(f".{own}"))
            biases = [None] * len(does) if module.bias is None else module.bias.chunk(len(does))
            found |= {
                part: _Map(weight, bias)
                for part, weight, bias in zip(does, module.weight.chunk(len(does)), biases, strict=True)
            }
    return found


def _kept_heads(teacher: TextModel, student: TextModel, sources: list[nn.Module], basis: Tensor) -> list[Tensor]:
    """Which of the teacher's heads those of each of the student's layers are, in order."""
    written = []
    for source in sources:
        left, right = _writing(_parts(source), teacher.config.num_attention_heads, basis)
        written.append(((left @ left.mT) * (right @ right.mT)).sum(dim=(1, 2)))
    if any(name.endswith(_DISTANCES) for name, _ in teacher.named_modules()):
        written = [torch.stack(written).mean(dim=0)] * len(written)
    return [found.topk(student.config.num_attention_heads).indices.sort().values for found in written]


def _attention(here: _Parts, there: _Parts, basis: Tensor, kept: Tensor, config: Any) -> None:
    heads, every = len(kept), config.num_attention_heads
    size = here["queries"].weight.shape[0] // heads
    queries, keys = (_reading(there[part], every, basis)[kept] for part in ("queries", "keys"))
    scale = (size / queries.shape[1]) ** 0.25  # of both: scores are divided by the root of the head size
    if config.model_type in _ROTARY:
        queries, keys = _rotary_pairs(queries, size), _rotary_pairs(keys, size)
    else:
        queries, keys = _low_rank(queries, keys, size)
    written, values = _writing(there, every, basis)
    written, values = _low_rank(written[kept], values[kept], size)
    _fill(here["queries"], queries * scale, heads, rest=0.0)
    _fill(here["keys"], keys * scale, heads)
    _fill(here["values"], values, heads)
    outputs = here["attended"].weight.new_zeros(heads, size, basis.shape[1])
    outputs[:, : written.shape[1]] = written
    here["attended"].weight.copy_(outputs.flatten(0, 1).T)
    _write_bias(here["attended"], there["attended"], basis)


def _reading(part: _Map, heads: int, basis: Tensor) -> Tensor:
    """What each head reads, `[heads, head size, student's width + 1]`; the last column is the bias, 0 without one."""
    weight = part.weight.double() @ basis
    bias = weight.new_zeros(len(weight)) if part.bias is None else part.bias.double()
    return torch.cat([weight, bias[:, None]], dim=1).reshape(heads, -1, weight.shape[1] + 1)


def _writing(parts: _Parts, heads: int, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Two factors of what each head writes: `[heads, head size, student's width]`, and what its values read."""
    written = (basis.T @ parts["attended"].weight.double()).T
    return written.reshape(heads, -1, basis.shape[1]), _reading(parts["values"], heads, basis)


def _low_rank(left: Tensor, right: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors of at most `rank` rows whose product leftᵀ right is nearest to that of these, `[heads, rows, n]`.

    Eckart and Young 1936. The factors are small beside their product, which is never made.
    """
    (left_q, left_r), (right_q, right_r) = torch.linalg.qr(left.mT), torch.linalg.qr(right.mT)
    u, values, vh = torch.linalg.svd(left_r @ right_r.mT)
    rank = min(rank, values.shape[1])
    root = values[:, :rank, None].sqrt()
    return root * (left_q @ u[:, :, :rank]).mT, root * (right_q @ vh.mT[:, :, :rank]).mT


def _rotary_pairs(found: Tensor, size: int) -> Tensor:
    """Of rows that positions rotate in pairs, i and i + half, those whose frequencies are nearest to the student's."""
    half, wanted = found.shape[1] // 2, size // 2
    pairs = (torch.arange(wanted, device=found.device) * half / wanted).round().long()
    return found[:, torch.cat([pairs, pairs + half])]


def _fill(part: _Map, found: Tensor, heads: int, rest: float | None = None) -> None:
    """Set the first rows of each head to `found` `[heads, rows, width + 1]`, and the others to `rest` or not at all."""
    for tensor, wanted in ((part.weight, found[:, :, :-1]), (part.bias, found[:, :, -1])):
        if tensor is not None:
            by_head = tensor.view(heads, -1, *tensor.shape[1:])
            by_head[:, : wanted.shape[1]] = wanted.to(tensor.dtype)
            if rest is not None:
                by_head[:, wanted.shape[1] :] = rest


def _feed_forward(here: _Parts, there: _Parts, basis: Tensor) -> None:
    read = {part: _reading(there[part], 1, basis) for part in ("inner", "gate") if part in there}
    written = basis.T @ there["outer"].weight.double()
    importance = written.norm(dim=0)
    for found in read.values():
        importance = importance * found[0, :, :-1].norm(dim=1)
    kept = importance.topk(min(len(importance), here["inner"].weight.shape[0])).indices.sort().values
    for part, found in read.items():
        _fill(here[part], found[:, kept], heads=1)
    here["outer"].weight.zero_()
    here["outer"].weight[:, : len(kept)] = written[:, kept].float()
    _write_bias(here["outer"], there["outer"], basis)


def _write_bias(here: _Map | nn.Linear, there: _Map | nn.Linear, basis: Tensor) -> None:
    if here.bias is not None and there.bias is not None:
        here.bias.copy_(basis.T @ there.bias.double())


def _norm(here: nn.LayerNorm, there: nn.LayerNorm, basis: Tensor) -> None:
    """Pᵀ diag(g) P of the weights g has no place in a LayerNorm: its diagonal stays, the nearest one there is.

    The features are fewer, and of length √width together after a LayerNorm: the weights make up for that.
    """
    here.weight.copy_((len(basis) / basis.shape[1]) ** 0.5 * (basis.square().T @ there.weight.double()))
    if here.bias is not None:
        here.bias.copy_(basis.T @ there.bias.double())


def _around(teacher: TextModel, student: TextModel, basis: Tensor, heads: Tensor) -> None:
    """Embeddings, pooler and head."""
    inside = {id(module) for layer in encoder_layers(student) for module in layer.modules()}
    there: dict[str, Any] = dict(teacher.inner.named_modules())
    outside: dict[str, Any] = {n: m for n, m in student.inner.named_modules() if n in there and id(m) not in inside}
    units = _pooled_units(there, basis)
    for name, module in outside.items():
        source = there[name]
        if isinstance(module, nn.Linear):
            _outer_map(name, module, source, basis, units)
        elif isinstance(module, nn.Embedding):
            if name.endswith(_DISTANCES):
                module.weight.copy_(source.weight[:, heads])
            else:  # of a size of their own they are no hidden states, and stay
                same = module.weight.shape == source.weight.shape
                module.weight.copy_(source.weight if same else source.weight.double() @ basis)
        elif isinstance(module, nn.LayerNorm):
            if name.endswith(_POOLED_NORM) or module.weight.shape == source.weight.shape:
                for tensor, wanted in zip(module.parameters(), source.parameters(), strict=True):
                    tensor.copy_(wanted[units] if name.endswith(_POOLED_NORM) else wanted)
            else:
                _norm(module, source, basis)


def _pooled_units(there: dict[str, Any], basis: Tensor) -> Tensor | None:
    """The units of the pooler that a student has, in order; None where the head reads the hidden states."""
    pooler = next((m for n, m in there.items() if n.endswith(_POOLERS) and isinstance(m, nn.Linear)), None)
    head = next((m for n, m in there.items() if n in _HEADS and isinstance(m, nn.Linear)), None)
    if pooler is None or head is None:
        return None
    importance = (pooler.weight.double() @ basis).norm(dim=1) * head.weight.double().norm(dim=0)
    units: Tensor = importance.topk(basis.shape[1]).indices.sort().values
    return units


def _outer_map(name: str, here: nn.Linear, there: nn.Linear, basis: Tensor, units: Tensor | None) -> None:
    """A linear map outside the layers: pooler, head, or from embeddings of another size."""
    if name.endswith(_POOLERS):
        here.weight.copy_((there.weight.double() @ basis)[units])
        if here.bias is not None:
            here.bias.copy_(there.bias[units])
    elif name in _HEADS:
        here.weight.copy_(there.weight.double() @ basis if units is None else there.weight[:, units])
        here.bias.copy_(there.bias)
    else:
        here.weight.copy_(basis.T @ there.weight.double())
        _write_bias(here, there, basis)
