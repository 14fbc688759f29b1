"""One loss a row for each task, from logits `[rows, outputs]` and encoded targets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from limbeck.tasks import AnyTask, Embed

RowLoss = Callable[[Tensor, Tensor], Tensor]
RowDivergence = Callable[[Tensor, Tensor, Tensor], Tensor]
NOT_LEARNT = -100  # the tag of tokens that are not learnt: those after the first piece of a word, special ones, padding
MAX_LABEL_WEIGHT = 20.0
COSINE_SCALE = 20.0  # of cosines as logits, as sentence-transformers has it


def row_loss(
    task: AnyTask, label_weights: NDArray[np.float32] | None = None, *, label_smoothing: float = 0.0
) -> RowLoss:
    """Cross-entropy for `classify`, its mean over the words for `tag` (from tags of tokens, NOT_LEARNT left out),
    summed binary cross-entropy for `multilabel`, squared error for `regress`, `embed` as `vector_losses` has it, and
    for `answer` the mean of the cross-entropies of the tokens where the answer starts and ends, `targets` `[rows, 2]`.

    `label_weights` `[labels]` multiply a label's cross-entropy, or its positive term in `multilabel`.
    `label_smoothing` spreads that share of each label evenly over all answers (Szegedy et al. 2016).
    """

    def weights(logits: Tensor) -> Tensor | None:
        return None if label_weights is None else torch.from_numpy(label_weights).to(logits.device)

    if task.name == "classify":
        return lambda logits, targets: functional.cross_entropy(
            logits, targets, weight=weights(logits), reduction="none", label_smoothing=label_smoothing
        )
    if task.name == "multilabel":
        return lambda logits, targets: functional.binary_cross_entropy_with_logits(
            logits, targets * (1 - label_smoothing) + label_smoothing / 2, pos_weight=weights(logits), reduction="none"
        ).sum(dim=1)
    if task.name == "tag":
        return lambda logits, targets: mean_over_words(_tag_losses(logits, targets, label_smoothing), targets)
    if task.name == "answer":
        return lambda logits, targets: functional.cross_entropy(
            logits, targets, reduction="none", label_smoothing=label_smoothing
        ).mean(dim=1)
    if isinstance(task, Embed):
        return lambda logits, targets: vector_losses(task, logits, targets)
    return lambda logits, targets: functional.mse_loss(logits[:, 0], targets, reduction="none")


def vector_losses(task: Embed, vectors: Tensor, targets: Tensor) -> Tensor:
    """One loss a row from the vectors of all first texts, then all second ones, `[parts * rows, width]`.

    Of scored pairs the squared difference of the cosine and the score, from 0 to 1 (Reimers and Gurevych 2019). Of
    pairs and triplets the cross-entropy of a row's own second text among all second and third texts of the batch, by
    cosine (Henderson et al. 2017); `targets` number the second texts: equal ones do not count against one another.
    """
    first, second, *third = functional.normalize(vectors, dim=1).chunk(task.parts)
    if task.learnt_from == "scored":
        return (torch.sum(first * second, dim=1) - targets).square()
    cosines = COSINE_SCALE * first @ second.T
    own = torch.arange(len(targets), device=targets.device)
    twins = (targets[:, None] == targets) & (own[:, None] != own)
    cosines = cosines.masked_fill(twins, -torch.inf)
    others = [COSINE_SCALE * first @ part.T for part in third]
    return functional.cross_entropy(torch.cat([cosines, *others], dim=1), own, reduction="none")


def _tag_losses(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy of each token `[rows, length]`, 0 for those without a tag; `targets` may be the longer."""
    wanted = targets[:, : logits.shape[1]]
    return functional.cross_entropy(
        logits.transpose(1, 2), wanted, reduction="none", ignore_index=NOT_LEARNT, label_smoothing=label_smoothing
    )


def mean_over_words(tokens: Tensor, targets: Tensor) -> Tensor:
    """The mean of each row `[rows, length]` over the tokens that have a tag."""
    tagged = targets[:, : tokens.shape[1]] != NOT_LEARNT
    return (tokens * tagged).sum(dim=1) / tagged.sum(dim=1).clamp_min(1)


def row_divergence(task: AnyTask) -> RowDivergence:
    """How far two answers to the same rows are apart, from logits twice and the targets: one number a row.

    Half the sum of the Kullback-Leibler divergences in both directions (Liang et al. 2021), for `multilabel` summed
    over the labels, for `tag` the mean over the words, for `answer` over start and end; the squared difference for
    `regress`.
    """
    if task.name == "classify":
        return lambda first, second, targets: _jeffreys(first, second)
    if task.name == "tag":
        return lambda first, second, targets: mean_over_words(_jeffreys(first, second), targets)
    if task.name == "answer":
        return lambda first, second, targets: _jeffreys(first.transpose(1, 2), second.transpose(1, 2)).mean(dim=1)
    if task.name == "multilabel":
        # For a yes or no the log-odds are the logits themselves.
        return lambda first, second, targets: ((first.sigmoid() - second.sigmoid()) * (first - second)).sum(dim=1) / 2
    return lambda first, second, targets: (first - second)[:, 0].square()


def _jeffreys(first: Tensor, second: Tensor) -> Tensor:
    a, b = functional.log_softmax(first, dim=-1), functional.log_softmax(second, dim=-1)
    return ((a.exp() - b.exp()) * (a - b)).sum(dim=-1) / 2


def balanced_weights(task: AnyTask, targets: NDArray[np.generic]) -> NDArray[np.float32] | None:
    """Weights that make rare labels count as much as frequent ones, at most MAX_LABEL_WEIGHT; None for `regress`.

    For `classify` rows / (labels x rows of the label), for `multilabel` rows without the label / rows with it.
    """
    if task.name == "classify":
        counts = np.bincount(targets.astype(np.int64), minlength=task.outputs)
        weights = len(targets) / (task.outputs * np.maximum(counts, 1))
    elif task.name == "multilabel":
        positive = targets.astype(np.float64).sum(axis=0)
        weights = (len(targets) - positive) / np.maximum(positive, 1)
    else:
        return None
    return np.minimum(weights, MAX_LABEL_WEIGHT).astype(np.float32)
