"""A student that is the teacher without its least important attention heads and feed-forward units."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.distillation.shapes import shape_of
from limbeck.distillation.students import Student
from limbeck.errors import UsageError
from limbeck.nn.losses import row_loss
from limbeck.nn.model import TextModel, random_model, set_dropout
from limbeck.nn.pruned import kept_heads, prunable_layers, remove_heads, remove_units, shares_heads
from limbeck.tasks import AnyTask
from limbeck.text import pad
from limbeck.training.prepare import TokenizedSplit, training_targets

IMPORTANCE_ROWS = 512
BATCH_ROWS = 16
PRUNED = "pruned"

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Importance:
    """How much each head `[layers, heads]` and each unit `[layers, units]` matters, of each layer with norm 1."""

    heads: Scores
    units: Scores


@dataclass(frozen=True, slots=True)
class Kept:
    """The heads and the units that each of the different layers keeps, in order, counted from 0 as in the teacher."""

    heads: list[list[int]]
    units: list[list[int]]


def importance(model: TextModel, task: AnyTask, split: TokenizedSplit, *, pad_id: int) -> Importance:
    """First-order estimates of what the loss would change by without each head and each unit of `model`.

    Of a head |sum of activation x gradient| over its slice of what the attention's output map reads, of a unit the same
    of its one number, summed over the tokens of a text that are no padding and averaged over texts: the size of the
    loss's derivative to a factor of 1 on the head (Michel et al. 2019, equation 2) or the unit (Molchanov et al. 2017,
    equation 7). The numbers of each layer are divided by their l2 norm, as both do. Layers that share their weights
    share the factor. At most IMPORTANCE_ROWS rows are read, drawn at random.
    """
    layers = prunable_layers(model.encoder)
    readers = [linear for layer in layers for linear in (layer.output, layer.down)]
    heads, loss = kept_heads(model.config), row_loss(task)
    targets = torch.from_numpy(training_targets(task, split))
    device = next(model.parameters()).device
    totals = [torch.zeros(heads if i % 2 == 0 else linear.in_features) for i, linear in enumerate(readers)]
    for indices in _batches(split, len(targets)):
        texts = [split.rows[i] for part in range(0, len(split.rows), len(targets)) for i in part + indices]
        arrays = pad(texts, pad_id=pad_id, length=max(map(len, texts)))
        inputs = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        with _read_by(readers) as read:
            losses = loss(model(**inputs), targets[torch.from_numpy(indices)].to(device))
        flows = iter(torch.autograd.grad(losses.sum(), [tensor for uses in read for tensor in uses]))
        mask = inputs["attention_mask"][:, :, None]
        for total, uses in zip(totals, read, strict=True):
            # A layer that is used again and again has one factor: its derivatives add up.
            derivatives = torch.stack([(tensor.detach() * next(flows) * mask).sum(dim=1) for tensor in uses]).sum(dim=0)
            total += derivatives.view(len(derivatives), len(total), -1).sum(dim=2).abs().sum(dim=0).cpu()
    return Importance(_of_norm_1(totals[::2]), _of_norm_1(totals[1::2]))


def most_important(found: Importance, *, heads: int, units: int, same_heads: bool) -> Kept:
    """The most important `heads` and `units` of each layer; with `same_heads` all layers keep those of the mean."""
    of_heads = np.broadcast_to(found.heads.mean(axis=0), found.heads.shape) if same_heads else found.heads
    return Kept(_highest(of_heads, heads), _highest(found.units, units))


def pruned_student(teacher: TextModel, task: AnyTask, kept: Kept, *, dropout: float) -> Student:
    """A copy of the teacher with these heads and units alone.

    Raises `UsageError` for a model that has not as many layers, or not these heads and units.
    """
    layers = prunable_layers(teacher.encoder)
    there = shape_of(teacher.config)
    heads, units = (max(max(each) for each in part) + 1 for part in (kept.heads, kept.units))
    if len(layers) != len(kept.heads) or heads > there.heads or units > there.intermediate_size:
        raise UsageError(f"an encoder of {there} has not the layers, heads and units that were chosen to be kept")
    config = copy.deepcopy(teacher.config)
    set_dropout(config, dropout)
    # HEADS and pooling are the same: the loaders of a bundle take them from its manifest.
    model = random_model(config, task, pooling=teacher.pooling, dropout=dropout)  # type: ignore[arg-type]
    model.load_state_dict(teacher.state_dict())
    remove_heads(model.encoder, kept.heads)
    remove_units(model.encoder, kept.units)
    return Student(model, shape_of(model.config), PRUNED, tuple(range(there.layers)))


def same_heads_needed(model: TextModel) -> bool:
    """Whether all layers must keep the same heads."""
    return shares_heads(model.encoder)


def _batches(split: TokenizedSplit, examples: int) -> Iterator[NDArray[np.int64]]:
    """Numbers of examples of about the same length."""
    drawn = np.random.default_rng(0).permutation(examples)[:IMPORTANCE_ROWS]
    lengths = np.array([len(row) for row in split.rows]).reshape(-1, examples).max(axis=0)
    ordered = drawn[np.argsort(lengths[drawn], kind="stable")]
    for start in range(0, len(ordered), BATCH_ROWS):
        yield ordered[start : start + BATCH_ROWS]


@contextmanager
def _read_by(modules: Sequence[nn.Module]) -> Iterator[list[list[Tensor]]]:
    """Inside, the tensors that each module reads are kept, one for each of its uses."""
    kept: list[list[Tensor]] = [[] for _ in modules]
    handles = [
        module.register_forward_pre_hook(lambda _, given, into=into: into.append(given[0]))
        for module, into in zip(modules, kept, strict=True)
    ]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _of_norm_1(totals: Sequence[Tensor]) -> Scores:
    found: Scores = torch.stack(list(totals)).double().numpy()
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float64).tiny))


def _highest(scores: Scores, count: int) -> list[list[int]]:
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return [[int(i) for i in row] for row in np.sort(order, axis=1)]
