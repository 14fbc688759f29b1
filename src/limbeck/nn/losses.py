"""One loss a row for each task, from logits `[rows, outputs]` and encoded targets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from limbeck.tasks import AnyTask

RowLoss = Callable[[Tensor, Tensor], Tensor]
MAX_LABEL_WEIGHT = 20.0


def row_loss(task: AnyTask, label_weights: NDArray[np.float32] | None = None) -> RowLoss:
    """Cross-entropy for `classify`, summed binary cross-entropy for `multilabel`, squared error for `regress`.

    `label_weights` `[labels]` multiply a label's cross-entropy, or its positive term in `multilabel`.
    """

    def weights(logits: Tensor) -> Tensor | None:
        return None if label_weights is None else torch.from_numpy(label_weights).to(logits.device)

    if task.name == "classify":
        return lambda logits, targets: functional.cross_entropy(
            logits, targets, weight=weights(logits), reduction="none"
        )
    if task.name == "multilabel":
        return lambda logits, targets: functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weights(logits), reduction="none"
        ).sum(dim=1)
    return lambda logits, targets: functional.mse_loss(logits[:, 0], targets, reduction="none")


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
