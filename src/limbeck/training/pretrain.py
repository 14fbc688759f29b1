"""Pretrain a language model on packed text, judged by masks that are the same every time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from limbeck.nn.language_model import heads_of, language_loss
from limbeck.nn.losses import NOT_LEARNT
from limbeck.nn.model import TextModel
from limbeck.nn.precision import Precision, autocast
from limbeck.text import Packed, pad, padded_length, token_batches
from limbeck.training.loop import fit
from limbeck.training.masking import Masking
from limbeck.training.place import Fit, Progress
from limbeck.training.plan import Plan
from limbeck.training.processes import join
from limbeck.training.step import Objective

SCORE = "log-likelihood"


@dataclass(frozen=True, slots=True)
class MaskedScores:
    """How well masked tokens of held-out text are predicted.

    `loss` is their mean cross-entropy in nats, `perplexity` its exponential, `accuracy` the share that is predicted
    rightly, of `tokens`; `next_sentence_accuracy` that of the pairs, where there are any.
    """

    loss: float
    perplexity: float
    accuracy: float
    tokens: int
    next_sentence_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Pretrained:
    """How the training went, and the scores on held-out text; before it for an encoder that goes on learning."""

    fit: Fit
    before: MaskedScores | None
    after: MaskedScores


class Judge:
    """Held-out text with its masks drawn once, from the seed, so that models and moments are comparable."""

    def __init__(self, held_out: Packed, masking: Masking, *, seed: int, budget_tokens: int, pad_id: int) -> None:
        lengths = [len(row) for row in held_out.rows]
        longest, wanted = max(lengths), targets_of(held_out)
        self._batches: list[tuple[dict[str, Tensor], Tensor]] = []
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for batch in token_batches(lengths, budget_tokens=budget_tokens, max_length=longest):
                width = padded_length(lengths[batch[0]], limit=longest)
                arrays = pad([held_out.rows[i] for i in batch], pad_id=pad_id, length=width)
                inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
                self._batches.append(masking(inputs, wanted[torch.from_numpy(batch)]))

    def scores(self, model: TextModel, precision: Precision) -> MaskedScores:
        """What `model` scores; leaves it in evaluation mode."""
        device, heads = next(model.parameters()).device, heads_of(model.eval())
        entropy, right, tokens, pairs, right_pairs = 0.0, 0, 0, 0, 0
        with torch.inference_mode(), autocast(precision, device):
            for inputs, wanted in self._batches:
                hidden = model(**{name: tensor.to(device) for name, tensor in inputs.items()})
                wanted = wanted.to(device)
                chosen = wanted[:, 1:] != NOT_LEARNT
                logits, labels = heads.vocabulary_logits(hidden[chosen]).float(), wanted[:, 1:][chosen]
                entropy += float(functional.cross_entropy(logits, labels, reduction="sum"))
                right += int((logits.argmax(dim=1) == labels).sum())
                tokens += len(labels)
                if (wanted[:, 0] != NOT_LEARNT).all():
                    right_pairs += int((heads.next_sentence_logits(hidden).argmax(dim=1) == wanted[:, 0]).sum())
                    pairs += len(wanted)
        loss = entropy / tokens
        perplexity = math.exp(min(loss, 700.0))  # an untrained head can be wronger than a float holds
        return MaskedScores(loss, perplexity, right / tokens, tokens, right_pairs / pairs if pairs else None)


def targets_of(packed: Packed) -> Tensor:
    """What `Masking` reads, int16 `[rows, 1 + longest]`: the next-sentence label, then the words' places."""
    labels = packed.random_next if len(packed.random_next) else np.full(len(packed), NOT_LEARNT)
    return torch.from_numpy(np.concatenate([labels[:, None].astype(np.int16), packed.words], axis=1))


def pretrain_model(
    model: TextModel,
    train: Packed,
    held_out: Packed,
    masking: Masking,
    plan: Plan,
    *,
    judged_before: bool,
    pad_id: int,
    precision: Precision | None,
    folder: Path,
    fingerprint: str,
    on_step: Callable[[Progress], None],
) -> Pretrained:
    """Train `model` in place; see `limbeck.pretrain` for the arguments and `fit` for resuming."""
    processes = join()
    judge = Judge(held_out, masking, seed=plan.seed, budget_tokens=plan.budget_tokens, pad_id=pad_id)
    before = processes.on_first(lambda: judge.scores(model, "fp32")) if judged_before else None
    fitted = fit(
        model,
        train.rows,
        targets_of(train),
        objective=Objective(language_loss(model), corrupt=masking),
        evaluate=lambda judged, precision: -judge.scores(judged, precision).loss,
        plan=plan,
        pad_id=pad_id,
        folder=folder,
        fingerprint=fingerprint,
        precision=precision,
        on_step=on_step,
    )
    return Pretrained(fitted, before, processes.on_first(lambda: judge.scores(model, "fp32")))
