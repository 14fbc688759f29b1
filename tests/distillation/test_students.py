from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from families import FAMILIES, make_base
from limbeck.distillation.students import Shape, new_student, parse_shape, shape_of
from limbeck.errors import UsageError
from limbeck.nn.base import load_config
from limbeck.nn.model import TextModel, load_model, new_model, save_model
from limbeck.tasks import Classify
from limbeck.training.optimizer import encoder_layers

TASK = Classify(("negative", "positive"))
BERT = Shape(12, 768, 12, 3072)
TINY = Shape(2, 32, 4, 64)
IDS = torch.tensor([[7, 12, 9, 8, 6, 5], [7, 11, 14, 2, 9, 10]])
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "token_type_ids": torch.zeros_like(IDS)}


@pytest.fixture(params=sorted(FAMILIES))
def teacher(request: pytest.FixtureRequest, tmp_path: Path) -> TextModel:
    base = make_base(request.param, ["the film was good", "a dull book", "it was not very long"], tmp_path / "base")
    torch.manual_seed(0)
    return new_model(str(base), TASK).eval()


def answer(model: TextModel) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model.eval()(**INPUTS)
    return logits


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tinybert-4", Shape(4, 312, 12, 1200)),
        ("tinybert-6", Shape(6, 768, 12, 3072)),
        ("L3", Shape(3, 768, 12, 3072)),
        ("3x384", Shape(3, 384, 12, 1536)),
        ("2x128", Shape(2, 128, 8, 512)),
        ("2x128x2", Shape(2, 128, 2, 512)),
        ("2x128x2x100", Shape(2, 128, 2, 100)),
    ],
)
def test_shapes(text: str, wanted: Shape) -> None:
    assert parse_shape(text, BERT) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("small", "expected tinybert-4, tinybert-6, L3"),
        ("L13", "expected at most 12"),
        ("L0", "sizes of 1 or more"),
        ("3x0", "sizes of 1 or more"),
        ("3x100x3", "3 heads do not divide the width 100"),
    ],
)
def test_no_shapes(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_shape(text, BERT)


def test_all_layers_of_the_teacher_are_the_teacher(teacher: TextModel) -> None:
    shape = parse_shape("L2", shape_of(teacher.config))
    assert shape == TINY
    student = new_student(teacher, TASK, shape, dropout=0.1)
    assert student.started_from == (0, 1)
    torch.testing.assert_close(answer(student.model), answer(teacher))


@pytest.mark.parametrize("text", ["L1", "1x16", "2x24x2x40"])
def test_a_student_of_every_family_is_saved_as_it_is(teacher: TextModel, text: str, tmp_path: Path) -> None:
    shape = parse_shape(text, shape_of(teacher.config))
    student = new_student(teacher, TASK, shape, dropout=0.0)
    assert student.started_from == ((1,) if text == "L1" else ())
    save_model(student.model, tmp_path / "student")
    assert shape_of(load_config(str(tmp_path / "student"))) == shape
    loaded = load_model(tmp_path / "student", TASK, pooling="pooler")
    torch.testing.assert_close(answer(loaded), answer(student.model))
    assert shape_of(teacher.config) == TINY  # left as it was


def test_the_layers_that_are_kept(tiny_base: Path) -> None:
    torch.manual_seed(0)
    teacher = new_model(str(tiny_base), TASK)
    student = new_student(teacher, TASK, parse_shape("L1", shape_of(teacher.config)), dropout=0.0).model
    (layer,), theirs = encoder_layers(student), encoder_layers(teacher)[1].state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in layer.state_dict().items())
    embeddings = teacher.encoder.embeddings.state_dict()
    for name, tensor in student.encoder.embeddings.state_dict().items():
        assert torch.equal(tensor, embeddings[name])
    assert torch.equal(student.inner.classifier.weight, teacher.inner.classifier.weight)
    before = student.inner.classifier.weight.clone()
    with torch.no_grad():
        teacher.inner.classifier.weight.zero_()
    assert torch.equal(student.inner.classifier.weight, before)  # a copy
