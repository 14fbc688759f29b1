"""Each objective against a plain reference in NumPy; gradients; and what is masked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.distillation import objectives as o

ROWS, LENGTH, WIDTH, HEADS, T = 3, 5, 8, 2, 2.5
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
Array = NDArray[np.floating[Any]]


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def kl(student: Array, teacher: Array) -> float:
    p, q = softmax(teacher), softmax(student)
    return float(np.sum(p * np.log(p / q)))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def soft(s: Array, t: Array, kept: Array) -> float:
    return T**2 * kl(s / T, t / T)


def binary_soft(s: Array, t: Array, kept: Array) -> float:
    p, q = sigmoid(t / T), sigmoid(s / T)
    return float(T**2 * np.sum(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))))


def span_soft(s: Array, t: Array, kept: Array) -> float:
    return float(np.mean([T**2 * kl(s[kept, end] / T, t[kept, end] / T) for end in (0, 1)]))


def squared(s: Array, t: Array, kept: Array) -> float:
    return float(np.mean((s - t) ** 2))


def distance(s: Array, t: Array, kept: Array) -> float:
    return float(np.sum((s - t) ** 2))


def hidden(s: Array, t: Array, kept: Array) -> float:
    return float(np.mean((s[kept] - t[kept]) ** 2))


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def direction(s: Array, t: Array, kept: Array) -> float:
    return float(np.mean(1 - np.sum(unit(s[kept]) * unit(t[kept]), axis=1)))


def patient(s: Array, t: Array, kept: Array) -> float:
    return float(np.sum((unit(s) - unit(t)) ** 2))


def scores(s: Array, t: Array, kept: Array) -> float:
    both = np.ix_(range(HEADS), kept, kept)
    return float(np.mean((s[both] - t[both]) ** 2))


def relation(s: Array, t: Array, kept: Array) -> float:
    return float(np.mean([kl(s[h, i, kept], t[h, i, kept]) for h in range(HEADS) for i in kept]))


@dataclass(frozen=True)
class Case:
    """An objective, the shape of a row that it reads, its reference for one row, and the dimensions to mask in."""

    objective: Callable[..., Tensor]
    shape: tuple[int, ...]
    reference: Callable[[Array, Array, Array], float]
    masked: tuple[int, ...] = ()


CASES = {
    "soft": Case(partial(o.soft_targets, temperature=T), (4,), soft),
    "binary soft": Case(partial(o.binary_soft_targets, temperature=T), (4,), binary_soft),
    "span soft": Case(partial(o.span_soft_targets, temperature=T), (LENGTH, 2), span_soft, (1,)),
    "logits": Case(o.squared_logits, (4,), squared),
    "vectors": Case(o.squared_vectors, (WIDTH,), distance),
    "hidden": Case(o.hidden_states, (LENGTH, WIDTH), hidden, (1,)),
    "directions": Case(o.directions, (LENGTH, WIDTH), direction, (1,)),
    "patient": Case(o.patient_states, (WIDTH,), patient),
    "attention": Case(o.attention_scores, (HEADS, LENGTH, LENGTH), scores, (2, 3)),
    "relations": Case(o.relations, (HEADS, LENGTH, LENGTH), relation, (2, 3)),
}


def pair(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(ROWS, *shape, generator=random, dtype=torch.float64) for _ in range(2))
    return student.float().requires_grad_(), teacher.float()


def losses(case: Case, student: Tensor, teacher: Tensor) -> Tensor:
    return case.objective(student, teacher, **({"mask": MASK} if case.masked else {}))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_value_is_that_of_the_formula(case: Case) -> None:
    student, teacher = pair(case.shape)
    found = losses(case, student, teacher)
    assert found.shape == (ROWS,)
    for row in range(ROWS):
        kept = np.flatnonzero(MASK[row].numpy())
        wanted = case.reference(student[row].detach().double().numpy(), teacher[row].double().numpy(), kept)
        assert float(found[row].detach()) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_following_the_gradient_leads_to_the_teacher(case: Case) -> None:
    student, teacher = pair(case.shape)
    before = losses(case, student, teacher).sum()
    (gradient,) = torch.autograd.grad(before, student)
    start = float(before.detach())
    rate = 0.01 * start / float(gradient.square().sum())  # a hundredth of the way, were it straight
    after = losses(case, student.detach() - rate * gradient, teacher).sum()
    assert float(after) == pytest.approx(0.99 * start, rel=1e-3)
    at_rest = teacher.clone().requires_grad_()
    equal = losses(case, at_rest, teacher).sum()
    assert float(equal.detach()) == pytest.approx(0, abs=1e-5)
    (still,) = torch.autograd.grad(equal, at_rest)
    assert float(still.abs().max()) < 1e-5


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.masked], ids=[k for k, c in CASES.items() if c.masked])
def test_masked_positions_do_not_count(case: Case) -> None:
    student, teacher = pair(case.shape)
    plain = losses(case, student, teacher)
    hidden = torch.zeros(ROWS, *case.shape, dtype=torch.bool)
    for dimension in case.masked:
        shape = [ROWS, *[1] * len(case.shape)]
        shape[dimension] = LENGTH
        hidden |= (MASK == 0).reshape(shape)
    for noise in (1e4, -1e4):
        changed = student.detach().masked_fill(hidden, noise).requires_grad_()
        found = losses(case, changed, teacher.masked_fill(hidden, -2 * noise))
        torch.testing.assert_close(found, plain)
        (gradient,) = torch.autograd.grad(found.sum(), changed)
        assert bool((gradient[hidden] == 0).all())
        assert bool((gradient[~hidden] != 0).any())


def test_sample_relations_compare_cosines_of_vectors_of_any_width() -> None:
    random = np.random.default_rng(0)
    student, teacher = random.normal(size=(4, 6)), random.normal(size=(4, 9))
    wanted = np.mean((unit(student) @ unit(student).T - unit(teacher) @ unit(teacher).T) ** 2, axis=1)
    leaf = torch.from_numpy(student).float().requires_grad_()
    found = o.sample_relations(leaf, torch.from_numpy(teacher).float())
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    after = o.sample_relations(leaf.detach() - 0.1 * gradient, torch.from_numpy(teacher).float())
    assert float(after.sum()) < float(found.sum().detach())


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_products_of_heads_of_any_size(heads: int) -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(size=(2, ROWS, LENGTH, WIDTH))
    size = WIDTH // heads
    parts = [
        np.einsum("rid,rjd->rij", first[..., h * size : (h + 1) * size], second[..., h * size : (h + 1) * size])
        for h in range(heads)
    ]
    found = o.scaled_products(torch.from_numpy(first), torch.from_numpy(second), heads)
    np.testing.assert_allclose(found.numpy(), np.stack(parts, axis=1) / np.sqrt(size), rtol=1e-4, atol=1e-5)


def test_a_temperature_keeps_the_size_of_gradients() -> None:
    """Of high temperatures the gradient is that of half the squared difference of centred logits, over the classes."""
    student, teacher = pair((4,))
    (gradient,) = torch.autograd.grad(o.soft_targets(student, teacher, 1000.0).sum(), student)
    apart = (student - student.mean(dim=1, keepdim=True)) - (teacher - teacher.mean(dim=1, keepdim=True))
    torch.testing.assert_close(gradient, apart.detach() / 4, rtol=0.01, atol=1e-3)


def test_vectors_of_texts_are_compared_in_full_precision_under_autocast() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(6, 48)
    student = teacher + 1e-3 * torch.randn(6, 48)
    for compared in (o.sample_relations, o.contrastive):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = compared(student, teacher)
        torch.testing.assert_close(found, compared(student, teacher), rtol=1e-5, atol=0)


def test_contrastive_is_the_cross_entropy_of_cosines_and_its_gradient_leads_nearer() -> None:
    random = np.random.default_rng(2)
    student, teacher = random.normal(size=(2, 5, 6))
    cosines = unit(student) @ unit(teacher).T / 0.05
    wanted = -np.log(np.diagonal(softmax(cosines)))
    leaf, given = torch.from_numpy(student).float().requires_grad_(), torch.from_numpy(teacher).float()
    found = o.contrastive(leaf, given)
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    after = o.contrastive(leaf.detach() - 0.01 * gradient, given)
    assert float(after.sum()) < float(found.sum().detach())
    assert float(o.contrastive(given, given).sum()) < float(after.sum())


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_mean_of_teachers_is_of_their_probabilities(temperature: float) -> None:
    torch.manual_seed(0)
    classes = 4 * torch.randn(3, 5, 6)
    mean = o.mean_of_teachers(classes, "classify", temperature)
    probabilities = (classes / temperature).softmax(dim=-1).mean(dim=0)
    torch.testing.assert_close((mean / temperature).softmax(dim=-1), probabilities)
    yes = o.mean_of_teachers(classes, "multilabel", temperature)
    torch.testing.assert_close((yes / temperature).sigmoid(), (classes / temperature).sigmoid().mean(dim=0))
    torch.testing.assert_close(o.mean_of_teachers(classes, "regress", temperature), classes.mean(dim=0))
    spans = torch.randn(3, 2, 7, 2)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    wanted = (spans[:, 1, :4] / temperature).softmax(dim=1).mean(dim=0)
    found = o.mean_of_teachers(spans, "answer", temperature, mask)[1, :4] / temperature
    torch.testing.assert_close(found.softmax(dim=0), wanted)


@pytest.mark.parametrize("task", ["classify", "multilabel", "regress"])
def test_one_teacher_is_its_own_mean(task: str) -> None:
    logits = torch.randn(1, 5, 6)
    student = torch.randn(5, 6)
    mean = o.mean_of_teachers(logits, task, 2.0)
    torch.testing.assert_close(o.soft_targets(student, mean, 2.0), o.soft_targets(student, logits[0], 2.0))
