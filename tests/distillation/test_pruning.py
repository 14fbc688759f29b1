from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from families import FAMILIES, make_base
from limbeck.data import Dataset
from limbeck.distillation.pruning import Importance, Kept, importance, most_important, pruned_student, same_heads_needed
from limbeck.distillation.shapes import Shape, parse_shape, shape_of
from limbeck.distillation.students import new_student
from limbeck.errors import UsageError
from limbeck.nn.losses import row_loss
from limbeck.nn.model import TextModel, new_model
from limbeck.nn.pruned import prunable_layers
from limbeck.tasks import Classify
from limbeck.text import Tokens, pad
from limbeck.training.prepare import TokenizedSplit

TASK = Classify(("negative", "positive"))
LENGTHS = (5, 12, 7, 9, 4, 11)
TARGETS = np.array([0, 1, 1, 0, 1, 0])
Scores = NDArray[np.float64]


@pytest.fixture(params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest, tmp_path: Path) -> TextModel:
    base = make_base(request.param, ["the film was good", "a dull book", "it was not very long"], tmp_path / "base")
    torch.manual_seed(0)
    return new_model(str(base), TASK, dropout=0.0).eval()


def split() -> TokenizedSplit:
    random = np.random.default_rng(0)
    ids = [random.integers(5, 14, length).astype(np.int32) for length in LENGTHS]
    rows = [Tokens(i, row, np.zeros(len(row), dtype=np.int8)) for i, row in enumerate(ids)]
    return TokenizedSplit(rows, TARGETS, Dataset([""] * len(rows), None, TARGETS.tolist(), list(range(len(rows)))))


def by_masks(model: TextModel) -> Importance:
    """The derivative of the loss of each row, read alone, to masks of ones over heads and units."""
    layers = prunable_layers(model.encoder)
    heads = [torch.ones(4, requires_grad=True) for _ in layers]
    units = [torch.ones(64, requires_grad=True) for _ in layers]
    pairs = [(layer.output, mask, 8) for layer, mask in zip(layers, heads, strict=True)]
    pairs += [(layer.down, mask, 1) for layer, mask in zip(layers, units, strict=True)]
    handles = [
        linear.register_forward_pre_hook(lambda _, given, m=mask, s=size: (given[0] * m.repeat_interleave(s),))
        for linear, mask, size in pairs
    ]
    sums = [torch.zeros(len(mask)) for _, mask, _ in pairs]
    for row, target in zip(split().rows, TARGETS, strict=True):
        arrays = pad([row], pad_id=0, length=len(row))
        logits = model(**{name: torch.from_numpy(array) for name, array in arrays.items()})
        loss = row_loss(TASK)(logits, torch.tensor([target]))[0]
        for total, gradient in zip(sums, torch.autograd.grad(loss, [mask for _, mask, _ in pairs]), strict=True):
            total += gradient.abs()
    for handle in handles:
        handle.remove()
    return Importance(_normed(sums[: len(layers)]), _normed(sums[len(layers) :]))


def _normed(sums: list[Tensor]) -> Scores:
    found = torch.stack(sums).double().numpy()
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def test_importance_is_the_derivative_to_a_mask(model: TextModel) -> None:
    found, expected = importance(model, TASK, split(), pad_id=model.config.pad_token_id), by_masks(model)
    np.testing.assert_allclose(found.heads, expected.heads, rtol=2e-3, atol=1e-5)  # batches are padded, rows alone not
    np.testing.assert_allclose(found.units, expected.units, rtol=2e-3, atol=1e-5)
    assert found.heads.shape == (len(prunable_layers(model.encoder)), 4)
    assert all(p.grad is None for p in model.parameters())


def test_the_most_important_are_kept() -> None:
    found = Importance(np.array([[0.1, 0.9, 0.3], [0.8, 0.2, 0.5]]), np.array([[3.0, 1, 2, 4], [1.0, 1, 1, 1]]))
    assert most_important(found, heads=2, units=3, same_heads=False) == Kept([[1, 2], [0, 2]], [[0, 2, 3], [0, 1, 2]])
    assert most_important(found, heads=1, units=1, same_heads=True) == Kept([[1], [1]], [[3], [0]])


def test_a_student_is_the_teacher_without_them(model: TextModel) -> None:
    found = importance(model, TASK, split(), pad_id=model.config.pad_token_id)
    kept = most_important(found, heads=3, units=40, same_heads=same_heads_needed(model))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    student = pruned_student(model, TASK, kept, dropout=0.1)
    assert student.shape == Shape(2, 32, 3, 40) == shape_of(student.model.config)
    assert shape_of(model.config) == Shape(2, 32, 4, 64)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    theirs = prunable_layers(model.encoder)[0].down.weight
    assert torch.equal(prunable_layers(student.model.encoder)[0].down.weight, theirs[:, kept.units[0]])
    assert any(isinstance(m, torch.nn.Dropout) and m.p == 0.1 for m in student.model.modules())


def test_what_cannot_be(tiny_base: Path) -> None:
    teacher = new_model(str(tiny_base), TASK)
    kept = Kept([[0], [1]], [[0, 1], [2, 3]])
    student = pruned_student(teacher, TASK, kept, dropout=0.0).model
    with pytest.raises(UsageError, match="heads of this teacher were removed"):
        new_student(student, TASK, parse_shape("L1", shape_of(student.config)), "layers", dropout=0.0)
    with pytest.raises(UsageError, match="has not the layers, heads and units"):
        pruned_student(student, TASK, kept, dropout=0.0)
