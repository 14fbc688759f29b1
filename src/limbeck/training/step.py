"""One optimizer step: gradients of the mean loss over a batch that may not fit into memory at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.nn.losses import RowDivergence, RowLoss
from limbeck.nn.model import TextModel
from limbeck.nn.precision import Precision, autocast
from limbeck.text import Tokens, pad, padded_length, token_batches
from limbeck.training.adversarial import Adversary, adversarial_backward
from limbeck.training.frozen import Below
from limbeck.training.processes import ALONE, Processes


class Lesson(Protocol):
    """A loss that runs the model itself, to see more of it than its logits; under `whole_batch` rows depend on others.

    From the model, its padded inputs, the targets and the numbers of their rows; one loss a row.
    """

    @property
    def whole_batch(self) -> bool:
        """Whether a batch must not be taken apart."""

    def __call__(
        self, model: TextModel, inputs: dict[str, Tensor], targets: Tensor, indices: NDArray[np.int64]
    ) -> Tensor:
        """The losses."""


Corrupt = Callable[[dict[str, Tensor], Tensor], tuple[dict[str, Tensor], Tensor]]
"""From padded inputs and targets to those that are learnt; draws from PyTorch's global random state only."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What a step minimises: one loss a row from logits and targets, and what is asked of it beside.

    With a `divergence` each row is read twice under different dropout, and `r_drop` times the divergence of the two
    answers is added to their mean loss (R-Drop, Liang et al. 2021). With an `adversary` the loss under the embeddings
    that it moved is added. Under `whole_batch` a row's loss depends on the others: a batch is not taken apart.
    `corrupt` changes the inputs and targets of each piece first, anew at every visit. A `lesson` stands in for `loss`
    and `divergence`.
    """

    loss: RowLoss
    divergence: RowDivergence | None = None
    r_drop: float = 0.0
    adversary: Adversary | None = None
    whole_batch: bool = False
    corrupt: Corrupt | None = None
    lesson: Lesson | None = None


class Stepper:
    """Takes the optimizer steps of one training over its rows.

    There is one target an example. An example of several texts has its first among the first rows, as many as there
    are targets, its second among the next, and so on; the model's outputs keep that order. What is kept of frozen
    layers, `below`, stands in for them.
    """

    def __init__(
        self,
        model: TextModel,
        rows: Sequence[Tokens],
        targets: Tensor,
        objective: Objective,
        *,
        budget_tokens: int,
        pad_id: int,
        device: torch.device,
        processes: Processes = ALONE,
        below: Below | None = None,
    ) -> None:
        self.model, self.rows, self.targets, self.objective = model, rows, targets, objective
        self.budget_tokens, self.pad_id, self.device = budget_tokens, pad_id, device
        self.processes, self.below = processes, below
        apart = np.array([len(row) for row in rows]).reshape(-1, len(targets))
        self.lengths: list[int] = apart.max(axis=0).tolist()
        self.longest = max(self.lengths)

    def step(
        self, optimizer: torch.optim.Optimizer, indices: NDArray[np.int64], precision: Precision, max_norm: float
    ) -> float:
        """Gradients of the mean loss over `indices`, clipped, applied; returns that loss."""
        optimizer.zero_grad(set_to_none=True)
        self.model.train()
        total = self.processes.add_up(self.model.parameters(), self.gradients(indices, precision))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm, foreach=True)
        optimizer.step()
        return total

    def gradients(self, indices: NDArray[np.int64], precision: Precision) -> float:
        """Add the gradients of the mean loss over `indices`, in pieces of at most the token budget.

        Of several processes each adds its share: the rows that are its own, of the mean over all. A batch that is not
        taken apart is the first one's alone.
        """
        total = 0.0
        for chosen in self._pieces(indices):
            width = padded_length(max(self.lengths[i] for i in chosen), limit=self.longest)
            texts = np.concatenate([part + chosen for part in range(0, len(self.rows), len(self.targets))])
            arrays = pad([self.rows[i] for i in texts], pad_id=self.pad_id, length=width)
            inputs = {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}
            wanted = self.targets[torch.from_numpy(chosen)].to(self.device)
            if self.objective.corrupt is not None:
                inputs, wanted = self.objective.corrupt(inputs, wanted)
            with self.below.stands_in(self.model, texts, width) if self.below else nullcontext():
                total += self._backward(inputs, wanted, chosen, len(indices), precision)
        return total

    def _pieces(self, indices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        if self.objective.whole_batch:
            return [indices] if self.processes.first else []
        mine = self.processes.share(indices)
        lengths = [self.lengths[i] for i in mine]
        budget = self.budget_tokens * len(self.targets) // len(self.rows)
        return [mine[p] for p in token_batches(lengths, budget_tokens=budget, max_length=self.longest)]

    def _backward(
        self, inputs: dict[str, Tensor], wanted: Tensor, chosen: NDArray[np.int64], rows: int, precision: Precision
    ) -> float:
        """Add the gradients of one piece, the `chosen` of `rows` of a batch; returns the piece's share of the loss."""

        def loss_of() -> Tensor:
            with autocast(precision, self.device):
                return self._row_losses(inputs, wanted, chosen).sum() / rows

        if self.objective.adversary is not None:
            embeddings = self.model.encoder.get_input_embeddings()
            return float(adversarial_backward(embeddings, loss_of, self.objective.adversary).detach())
        loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _row_losses(self, inputs: dict[str, Tensor], wanted: Tensor, chosen: NDArray[np.int64]) -> Tensor:
        if self.objective.lesson is not None:
            return self.objective.lesson(self.model, inputs, wanted, chosen)
        loss, divergence = self.objective.loss, self.objective.divergence
        if divergence is None:
            return loss(self.model(**inputs), wanted)
        twice = {name: torch.cat([tensor, tensor]) for name, tensor in inputs.items()}
        first, second = self.model(**twice).chunk(2)
        plain = (loss(first, wanted) + loss(second, wanted)) / 2
        return plain + self.objective.r_drop * divergence(first, second, wanted)
