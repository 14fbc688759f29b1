from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from families import FAMILIES, make_base
from limbeck.distillation.basis import Basis
from limbeck.distillation.shapes import Shape, parse_shape, shape_of
from limbeck.distillation.students import Start, check_start, new_student, usual_start
from limbeck.errors import UsageError
from limbeck.nn.base import load_config
from limbeck.nn.model import TextModel, load_model, new_model, save_model
from limbeck.tasks import Classify
from limbeck.training.optimizer import encoder_layers

TASK = Classify(("negative", "positive"))
TINY = Shape(2, 32, 4, 64)
IDS = torch.tensor([[7, 12, 9, 8, 6, 5], [7, 11, 14, 2, 9, 10]])
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "token_type_ids": torch.zeros_like(IDS)}


@pytest.fixture(params=sorted(FAMILIES))
def teacher(request: pytest.FixtureRequest, tmp_path: Path) -> TextModel:
    base = make_base(request.param, ["the film was good", "a dull book", "it was not very long"], tmp_path / "base")
    torch.manual_seed(0)
    return new_model(str(base), TASK).eval()


def some_basis(shape: Shape) -> Tensor:
    return torch.eye(TINY.hidden_size, dtype=torch.float64)[:, : shape.hidden_size]


def answer(model: TextModel) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model.eval()(**INPUTS)
    return logits


def test_all_layers_of_the_teacher_are_the_teacher(teacher: TextModel) -> None:
    shape = parse_shape("L2", shape_of(teacher.config))
    assert shape == TINY
    student = new_student(teacher, TASK, shape, "layers", dropout=0.1)
    assert student.started_from == (0, 1)
    torch.testing.assert_close(answer(student.model), answer(teacher))


@pytest.mark.parametrize("start", ["layers", "svd", "random"])
@pytest.mark.parametrize("text", ["L1", "1x24", "2x24x4x40"])
def test_a_student_of_every_family_is_saved_as_it_is(
    teacher: TextModel, text: str, start: Start, tmp_path: Path
) -> None:
    shape = parse_shape(text, shape_of(teacher.config))
    if start == "layers" and text != "L1":
        with pytest.raises(UsageError, match="--start layers: expected a student as wide as its teacher, 32, and it"):
            new_student(teacher, TASK, shape, start, dropout=0.0)
        return
    student = new_student(teacher, TASK, shape, start, dropout=0.0, basis=lambda: Basis(some_basis(shape), 1.0))
    assert student.started_from == (() if start == "random" else (0,) if shape.layers == 1 else (0, 1))
    save_model(student.model, tmp_path / "student")
    assert shape_of(load_config(str(tmp_path / "student"))) == shape
    loaded = load_model(tmp_path / "student", TASK, pooling="pooler")
    torch.testing.assert_close(answer(loaded), answer(student.model))
    assert shape_of(teacher.config) == TINY  # left as it was


def test_layers_with_other_feed_forward_units_are_refused(tiny_base: Path) -> None:
    teacher = new_model(str(tiny_base), TASK)
    shape = parse_shape("1x32x4x40", shape_of(teacher.config))
    with pytest.raises(UsageError, match="as many feed-forward units as its teacher, 64, and it has 40: take --start"):
        check_start("layers", teacher, shape)


def test_the_layers_that_are_kept(tiny_base: Path) -> None:
    torch.manual_seed(0)
    teacher = new_model(str(tiny_base), TASK)
    student = new_student(teacher, TASK, parse_shape("L1", shape_of(teacher.config)), "layers", dropout=0.0).model
    (layer,), theirs = encoder_layers(student), encoder_layers(teacher)[0].state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in layer.state_dict().items())
    embeddings = teacher.encoder.embeddings.state_dict()
    for name, tensor in student.encoder.embeddings.state_dict().items():
        assert torch.equal(tensor, embeddings[name])
    assert torch.equal(student.inner.classifier.weight, teacher.inner.classifier.weight)
    before = student.inner.classifier.weight.clone()
    with torch.no_grad():
        teacher.inner.classifier.weight.zero_()
    assert torch.equal(student.inner.classifier.weight, before)  # a copy


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("L1", "layers"),
        ("1x32x2", "layers"),
        ("1x16", "svd"),
        ("1x32x4x40", "svd"),
        ("1x24x8", "random"),
        ("1x48", "random"),
    ],
)
def test_the_usual_start(tiny_base: Path, text: str, start: str) -> None:
    teacher = new_model(str(tiny_base), TASK)
    assert usual_start(teacher, parse_shape(text, shape_of(teacher.config))) == start
