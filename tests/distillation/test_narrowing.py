"""Students that begin as their teacher narrowed: exact where nothing is lost, nearer than chance where something is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from families import FAMILIES, make_base
from limbeck.distillation.basis import hidden_basis
from limbeck.distillation.narrowing import why_not_narrowed
from limbeck.distillation.shapes import parse_shape, shape_of
from limbeck.distillation.states import States, captured
from limbeck.distillation.students import Start, new_student
from limbeck.errors import UsageError
from limbeck.nn.model import TextModel, new_model
from limbeck.tasks import Answer, AnyTask, Classify, Tag
from limbeck.text import Tokenizer, Tokens

TASK = Classify(("negative", "positive"))
TEXTS = [f"the film was {good}, a {dull} book" for good in ("good", "very long") for dull in ("dull", "short", "old")]
HEADS: dict[str, AnyTask] = {"pooler": TASK, "mean": TASK, "tokens": Tag(("GOOD",)), "spans": Answer()}


def rows_of(base: Path) -> list[Tokens]:
    return Tokenizer(base / "tokenizer.json").encode(TEXTS, max_tokens=64)


def run(model: TextModel, rows: list[Tokens]) -> tuple[Tensor, States]:
    ids = torch.from_numpy(rows[0].input_ids[None].astype(np.int64))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    with torch.inference_mode(), captured(model.eval()) as states:
        return model(**inputs), states


def begun(teacher: TextModel, rows: list[Tokens], text: str, start: Start, task: AnyTask = TASK) -> TextModel:
    torch.manual_seed(1)
    shape = parse_shape(text, shape_of(teacher.config))
    return new_student(
        *(teacher, task, shape, start),
        dropout=0.0,
        basis=lambda: hidden_basis(teacher, rows, shape.hidden_size, pad_id=0),
    ).model


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family(family: str, tmp_path: Path) -> None:
    base = make_base(family, TEXTS, tmp_path / "base")
    torch.manual_seed(0)
    rows = rows_of(base)
    for pooling, task in HEADS.items():
        teacher = new_model(str(base), task, pooling=pooling)  # type: ignore[arg-type]
        logits, theirs = run(teacher, rows)
        same = begun(teacher, rows, "2x32", "svd", task)
        torch.testing.assert_close(run(same, rows)[0], logits, atol=1e-4, rtol=1e-4)
        basis = hidden_basis(teacher, rows, 24, pad_id=0)
        assert 0.8 < basis.kept <= 1
        wanted = theirs.hidden[-1] @ basis.vectors.float()
        svd, chance = (
            run(begun(teacher, rows, "2x24x4x60", start, task), rows)[1].hidden[-1] for start in ("svd", "random")
        )
        assert (svd - wanted).square().mean() < 0.2 * (chance - wanted).square().mean()


def test_nothing_is_lost_of_states_that_lie_in_fewer_dimensions(tiny_base: Path) -> None:
    """Hidden states that are one half twice; heads, units and pooled units of which every other one does nothing."""
    torch.manual_seed(0)
    teacher = new_model(str(tiny_base), TASK)
    bert, inner = teacher.inner.bert, teacher.inner
    with torch.no_grad():
        for table in (e.weight for e in bert.embeddings.children() if isinstance(e, torch.nn.Embedding)):
            table[:, 16:] = table[:, :16]
        for layer in bert.encoder.layer:
            layer.attention.output.dense.weight.view(32, 4, 8)[:, ::2] = 0
            layer.output.dense.weight[:, ::2] = 0
            for written in (layer.attention.output, layer.output):
                written.dense.weight[16:] = written.dense.weight[:16]
                for bias in (written.dense.bias, written.LayerNorm.bias):
                    bias[16:] = bias[:16].normal_()
        inner.classifier.weight[:, ::2] = 0
    rows = rows_of(tiny_base)
    logits, theirs = run(teacher, rows)
    student = begun(teacher, rows, "2x16x2x32", "svd")
    found, ours = run(student, rows)
    torch.testing.assert_close(found, logits, atol=1e-5, rtol=1e-4)
    basis = hidden_basis(teacher, rows, 16, pad_id=0)
    assert basis.kept == pytest.approx(1)
    torch.testing.assert_close(basis.vectors.T @ basis.vectors, torch.eye(16, dtype=torch.float64))
    for mine, hers in zip(ours.hidden, theirs.hidden, strict=True):
        torch.testing.assert_close(mine @ basis.vectors.float().T, hers, atol=1e-5, rtol=1e-4)


def test_what_the_student_has_more_of_begins_without_effect(tiny_base: Path) -> None:
    teacher = new_model(str(tiny_base), TASK)
    rows = rows_of(tiny_base)
    fewer, more = (run(begun(teacher, rows, text, "svd"), rows)[0] for text in ("2x32x4x64", "2x32x4x99"))
    torch.testing.assert_close(more, fewer)
    student = begun(teacher, rows, "2x32x1", "svd")  # one head four times as wide as the one that it keeps
    attention = student.inner.bert.encoder.layer[0].attention
    assert attention.self.query.weight[:8].all()
    assert not attention.self.query.weight[8:].any()
    assert attention.self.key.weight[-1].any()  # or queries would have no gradient
    assert not attention.output.dense.weight[:, -1].any()


@pytest.mark.parametrize(
    ("family", "text", "message"),
    [
        ("bert", "1x24x8", "the student has 8 heads, and its teacher 4"),
        ("bert", "1x48", "the student is 48 wide, and its teacher 32"),
        ("electra", "1x16", "as wide as the embeddings, 16, which its teacher maps"),
        ("modernbert", "1x24x2", "heads are 12 wide, its teacher's 8, and rotated"),
    ],
)
def test_what_cannot_be_narrowed(family: str, text: str, message: str, tmp_path: Path) -> None:
    teacher = new_model(str(make_base(family, TEXTS, tmp_path / "base")), TASK)
    with pytest.raises(UsageError, match=f"--start svd: .*{message}"):
        begun(teacher, rows_of(tmp_path / "base"), text, "svd")


def test_a_family_that_is_not_known(tiny_base: Path) -> None:
    teacher = new_model(str(tiny_base), TASK)
    teacher.config.model_type = "xlnet"
    assert "the teacher is none of albert, bert" in (why_not_narrowed(teacher, shape_of(teacher.config)) or "")
