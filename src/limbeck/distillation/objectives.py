"""What a student may be asked to be like its teacher in: pure functions, each with one loss a row `[rows]`.

`student` and `teacher` are what the two models made of the same rows. A `mask` `[rows, length]` is 1 where a token is
and 0 where there is padding, which never counts. No gradient flows to what a teacher made.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.nn.losses import COSINE_SCALE

MASKED = -1e9  # of a score before a softmax: its exponential is 0, and unlike -inf it has differences


def soft_targets(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(softmax(teacher / T) || softmax(student / T)) over the last of the dimensions `[..., classes]`.

    Hinton et al. 2015. T² keeps the gradients of the size that they have without a temperature. `[...]`.
    """
    wanted = functional.log_softmax(teacher.float() / temperature, dim=-1)
    found = functional.log_softmax(student.float() / temperature, dim=-1)
    return temperature**2 * (wanted.exp() * (wanted - found)).sum(dim=-1)


def binary_soft_targets(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`soft_targets` of each label's yes and no, summed over the labels: `[rows, labels]` to `[rows]`."""
    found, wanted = (torch.stack([logits, torch.zeros_like(logits)], dim=-1) for logits in (student, teacher))
    return soft_targets(found, wanted, temperature).sum(dim=-1)


def span_soft_targets(student: Tensor, teacher: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """`soft_targets` over the tokens where a span starts, and over those where it ends: their mean.

    Logits are `[rows, length, 2]`.
    """
    found, wanted = (_unmasked(logits.float().transpose(1, 2), mask[:, None]) for logits in (student, teacher))
    return soft_targets(found, wanted, temperature).mean(dim=1)


def mean_of_teachers(teachers: Tensor, task: str, temperature: float, mask: Tensor | None = None) -> Tensor:
    """Logits whose probabilities at the temperature T are the mean of K teachers': `[teachers, ...]` to `[...]`.

    T log(1/K Σ softmax(z / T)), as Hinton et al. 2015 combine an ensemble: over classes `[..., classes]`; for `answer`
    over the tokens of `[rows, length, 2]` that the `mask` leaves; for `multilabel` over each label's yes and no.
    Numbers (`regress`) are averaged.
    """
    if task == "regress":
        return teachers.mean(dim=0)
    scaled, share = teachers.float() / temperature, math.log(len(teachers))
    if task == "multilabel":
        yes, no = (functional.logsigmoid(sign * scaled).logsumexp(dim=0) for sign in (1, -1))
        return temperature * (yes - no)
    if task == "answer" and mask is not None:
        scaled = scaled.masked_fill(mask[:, :, None] == 0, MASKED)
    logs = functional.log_softmax(scaled, dim=-2 if task == "answer" else -1)
    mean: Tensor = temperature * (logs.logsumexp(dim=0) - share)
    return mean


def squared_logits(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean squared difference of the logits `[rows, ...]` (Ba and Caruana 2014)."""
    return (student.float() - teacher.float()).square().flatten(1).mean(dim=1)


def squared_vectors(student: Tensor, teacher: Tensor) -> Tensor:
    """The squared distance of two vectors `[rows, width]` (Reimers and Gurevych 2020)."""
    return (student.float() - teacher.float()).square().sum(dim=1)


def hidden_states(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """The mean squared difference of hidden states, or of embeddings, `[rows, length, width]`.

    Jiao et al. 2020 (TinyBERT); a student of another width is projected to that of the teacher before.
    """
    return _masked_mean((student.float() - teacher.float()).square().mean(dim=2), mask)


def directions(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """1 - cosine of hidden states `[rows, length, width]`, the mean over the tokens (Sanh et al. 2019, DistilBERT)."""
    return _masked_mean(1 - functional.cosine_similarity(student.float(), teacher.float(), dim=2), mask)


def patient_states(student: Tensor, teacher: Tensor) -> Tensor:
    """The squared distance of the first tokens' hidden states `[rows, width]`, both of length 1.

    Sun et al. 2019 (patient knowledge distillation).
    """
    return squared_vectors(functional.normalize(student.float(), dim=1), functional.normalize(teacher.float(), dim=1))


def attention_scores(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """The mean squared difference of attention scores `[rows, heads, length, length]`, before the softmax.

    Jiao et al. 2020 (TinyBERT). The mean is over the heads and the pairs of tokens.
    """
    apart = (student.float() - teacher.float()).square().mean(dim=1)
    pairs = mask[:, :, None] * mask[:, None, :]
    return _masked_mean(apart.flatten(1), pairs.flatten(1))


def relations(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL(softmax(teacher) || softmax(student)) of scores `[rows, heads, length, length]` over the tokens looked at.

    The mean over the heads and the tokens that look. Of queries and keys these are the attention distributions of
    MiniLM (Wang et al. 2020), of values and values its value relations; of queries, of keys and of values each with
    themselves, regrouped into relation heads, those of MiniLMv2 (Wang et al. 2021).
    """
    found, wanted = (_unmasked(scores.float(), mask[:, None, None]) for scores in (student, teacher))
    return _masked_mean(soft_targets(found, wanted, 1.0).mean(dim=1), mask)


def scaled_products(first: Tensor, second: Tensor, heads: int) -> Tensor:
    """Scaled dot products `[rows, heads, length, length]` of vectors `[rows, length, width]` cut into heads.

    Vaswani et al. 2017. The number of heads need not be the model's own: MiniLMv2 regroups.
    """
    size = first.shape[2] // heads
    one, other = (v.float().reshape(*v.shape[:2], heads, size).transpose(1, 2) for v in (first, second))
    scores: Tensor = one @ other.transpose(2, 3) / math.sqrt(size)
    return scores


def sample_relations(student: Tensor, teacher: Tensor) -> Tensor:
    """How unlike the cosines of each text to all texts of the batch are: the mean squared difference.

    Vectors are `[rows, width]`, of any two widths (Tung and Mori 2019, with cosines).
    """
    found, wanted = (functional.normalize(vectors.float(), dim=1) for vectors in (student, teacher))
    with torch.autocast(found.device.type, enabled=False):  # in bf16 two near vectors are one
        return (found @ found.T - wanted @ wanted.T).square().mean(dim=1)


def contrastive(student: Tensor, teacher: Tensor) -> Tensor:
    """How hard the teacher's vector of a text is to tell from its vectors of the batch's other texts, by the student's.

    The cross-entropy of the cosines of the student's vector to all of the teacher's, times a scale: InfoNCE (van den
    Oord et al. 2018) between student and teacher (Tian et al. 2020). Vectors are `[rows, width]`.
    """
    found, wanted = (functional.normalize(vectors.float(), dim=1) for vectors in (student, teacher))
    with torch.autocast(found.device.type, enabled=False):
        cosines = found @ wanted.T
    return functional.cross_entropy(
        COSINE_SCALE * cosines, torch.arange(len(found), device=found.device), reduction="none"
    )


def _unmasked(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores whose last dimension is the length, such that a softmax over it leaves nothing to padding."""
    return scores.masked_fill(mask == 0, MASKED)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `[rows, n]` over what is not masked."""
    counted = mask.to(values.dtype)
    return values.masked_fill(mask == 0, 0.0).sum(dim=1) / counted.sum(dim=1).clamp_min(1)
