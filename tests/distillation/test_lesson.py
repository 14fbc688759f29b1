from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.distillation.basis import Basis
from limbeck.distillation.kept_states import KeptStates, StatesEngine, compared_states, state_widths
from limbeck.distillation.layer_maps import LayerMap, middle
from limbeck.distillation.lesson import Lesson, check_sizes, relation_heads
from limbeck.distillation.shapes import Shape, parse_shape, shape_of
from limbeck.distillation.students import new_student
from limbeck.distillation.wanted import INSIDE, NAMES, OF_LAST, PRESETS, Weights, parse_objective
from limbeck.errors import UsageError
from limbeck.nn.losses import row_loss
from limbeck.nn.model import TextModel, new_model
from limbeck.tasks import Classify
from limbeck.text import Tokens, pad
from limbeck.training.kept import Kept, keep
from limbeck.training.step import Objective, Stepper

TASK = Classify(("negative", "positive"))
CPU = torch.device("cpu")
ROWS = 6
Gradients = Callable[..., tuple[float, dict[str, Tensor]]]


def tokens(length: int, row: int) -> Tokens:
    ids = np.random.default_rng(row).integers(5, 60, length).astype(np.int32)
    return Tokens(row, ids, np.zeros(length, dtype=np.int8))


@pytest.fixture
def gradients(tiny_base: Path) -> Gradients:
    """Loss and gradients of a step of a student half as wide as its teacher, or with so many `layers` of it."""

    def compute(
        weights: Weights,
        *,
        budget: int = 8192,
        layers: int = 0,
        labelled: NDArray[np.bool_] | None = None,
        keep_in: Path | None = None,
    ) -> tuple[float, dict[str, Tensor]]:
        torch.manual_seed(0)
        teacher = new_model(str(tiny_base), TASK, dropout=0.0)
        shape = parse_shape(f"L{layers}" if layers else "1x16", shape_of(teacher.config))
        student: TextModel = new_student(teacher, TASK, shape, "layers" if layers else "random", dropout=0.0).model
        rows = [tokens(4 + 3 * row, row) for row in range(ROWS)]
        answers = _answers(teacher, rows)
        layer_map = middle(shape.layers, 2)
        lesson = Lesson(
            teacher,
            student,
            TASK,
            weights,
            hard=row_loss(TASK),
            temperature=2.0,
            layer_map=layer_map,
            answers=[answers],
            labelled=labelled if labelled is not None else np.ones(ROWS, dtype=np.bool_),
            device=CPU,
            states=_states(teacher, rows, weights, layer_map, keep_in) if keep_in else None,
        )
        objective = Objective(row_loss(TASK), lesson=lesson, whole_batch=lesson.whole_batch)
        targets = torch.tensor([0, 1, 0, 1, 0, 1])
        stepper = Stepper(student, rows, targets, objective, budget_tokens=budget, pad_id=0, device=CPU)
        loss = stepper.gradients(np.array([5, 0, 3, 2]), "fp32")
        assert all(p.grad is None for p in teacher.parameters())
        return loss, {name: p.grad for name, p in student.named_parameters() if p.grad is not None}

    return compute


def _answers(teacher: TextModel, rows: list[Tokens]) -> Kept:
    logits = []
    for row in rows:
        arrays = pad([row], pad_id=0, length=len(row))
        with torch.no_grad():
            logits.append(teacher.eval()(**{name: torch.from_numpy(a) for name, a in arrays.items()})[0].numpy())
    return Kept(np.stack(logits).astype(np.float16))


def _states(teacher: TextModel, rows: list[Tokens], weights: Weights, pairs: LayerMap, folder: Path) -> KeptStates:
    names = compared_states(weights, pairs, 2)
    widths, engine = state_widths(teacher, names), StatesEngine(teacher, names)
    kept = keep(
        folder / "states.npy", lambda: engine, rows, sum(widths), of_tokens=True, pad_id=0, on_batch=lambda rows: None
    )
    return KeptStates(kept, names, widths, 2)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("directions", "patient", "samples", "contrastive")])
def test_small_pieces_add_up_to_the_whole_batch(gradients: Gradients, name: str) -> None:
    """Which also tells that padding does not count, and that each row is held against its own answer."""
    loss, wanted = gradients({name: 1.0})
    in_pieces, found = gradients({name: 1.0}, budget=8)
    assert loss > 0
    assert in_pieces == pytest.approx(loss, rel=1e-4)
    assert found.keys() == wanted.keys()
    for parameter, gradient in wanted.items():
        torch.testing.assert_close(found[parameter], gradient, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("hard", "contrastive")])
def test_a_copy_of_the_teacher_has_nothing_to_learn(gradients: Gradients, name: str) -> None:
    loss, found = gradients({name: 1.0}, layers=2)
    assert loss == pytest.approx(0, abs=1e-5)  # but for the half precision of the answers
    assert not [parameter for parameter in found if "projections" in parameter]


@pytest.mark.parametrize("name", [n for n in INSIDE if n not in ("directions", "patient")])
def test_kept_states_teach_what_computed_ones_do(gradients: Gradients, name: str, tmp_path: Path) -> None:
    loss, wanted = gradients({name: 1.0})
    kept, found = gradients({name: 1.0}, keep_in=tmp_path)
    assert loss > 0
    assert kept == pytest.approx(loss, rel=1e-3)
    for parameter, gradient in wanted.items():
        torch.testing.assert_close(found[parameter], gradient, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("name", INSIDE)
def test_kept_states_of_a_copy_are_its_own(gradients: Gradients, name: str, tmp_path: Path) -> None:
    assert gradients({name: 1.0}, layers=2, keep_in=tmp_path)[0] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", OF_LAST)
def test_the_last_layer_learns_from_the_one_that_it_is_mapped_to(gradients: Gradients, name: str) -> None:
    assert gradients({name: 1.0}, layers=1)[0] == pytest.approx(0, abs=1e-5)  # it began as the first of two


def test_weights_weigh(gradients: Gradients) -> None:
    apart = [gradients({name: 1.0})[0] for name in ("soft", "relations", "hard")]
    together, _ = gradients({"soft": 0.5, "relations": 3.0, "hard": 0.25})
    assert together == pytest.approx(np.dot(apart, [0.5, 3.0, 0.25]), rel=1e-5)


def test_rows_without_a_label_do_not_count_for_hard(gradients: Gradients) -> None:
    labelled = np.ones(ROWS, dtype=np.bool_)
    labelled[[0, 1, 4]] = False  # of the batch, rows 5, 0, 3 and 2, that is one
    found = {name: gradients({name: 1.0}, labelled=labelled) for name in ("hard", "soft")}
    labelled[[2, 3, 5]] = False
    nothing, _ = gradients({"hard": 1.0}, labelled=labelled)
    one = np.arange(ROWS) == 0
    assert nothing == 0
    assert found["hard"][0] == pytest.approx(gradients({"hard": 1.0})[0] - gradients({"hard": 1.0}, labelled=one)[0])
    assert found["soft"][0] == gradients({"soft": 1.0})[0]


def test_projections_of_states_of_another_width_are_learnt(gradients: Gradients) -> None:
    _, found = gradients({"hidden": 1.0, "embeddings": 1.0})
    for name in ("hidden", "embeddings"):
        assert found[f"projections.{name}.weight"].shape == (32, 16)
        assert float(found[f"projections.{name}.weight"].abs().sum()) > 0


@pytest.mark.parametrize(("widths", "wanted"), [((384, 768), 48), ((312, 768), 24), ((32, 32), 32), ((7, 768), 1)])
def test_relation_heads(widths: tuple[int, int], wanted: int) -> None:
    assert relation_heads(*widths) == wanted


def test_objectives_by_name_and_by_hand() -> None:
    assert parse_objective("tinybert") == PRESETS["tinybert"]
    assert parse_objective("soft=0.5, hidden=.25,hard=0") == {"soft": 0.5, "hidden": 0.25}
    for weights in PRESETS.values():
        assert set(weights) <= set(NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "attention=1,soft=-1",
            "--objective attention=1,soft=-1: expected weights of 0 or more, as soft=0.5, and not soft=-1",
        ),
        (
            "soft,hard=1e400",
            "--objective soft,hard=1e400: expected weights of 0 or more, as soft=0.5, and not soft, hard=1e400",
        ),
        ("soft=1,sofa=-1", "--objective 'soft=1,sofa=-1': expected one of default, hinton"),
        ("soft=1,soft=2", "objectives with weights, each once"),
        ("", "--objective '': expected one of default, hinton"),
    ],
)
def test_what_is_no_objective(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_objective(text)
    assert message in str(caught.value)


def test_where_heads_are_not_as_many_another_student_or_objective_is_named() -> None:
    teacher = Shape(12, 384, 12, 1536)
    for student, remedy in (
        (
            Shape(3, 192, 6, 768),
            "Take a student of as many heads, as 3x192x12, or relations, which needs no equal heads",
        ),
        (Shape(3, 100, 10, 768), "Take a student of as many heads, or relations, which needs no equal heads"),
        (Shape(12, 384, 6, 768), "Take a student of as many heads, or relations, which needs no equal heads"),
    ):
        with pytest.raises(UsageError) as caught:
            check_sizes(teacher, student, TASK, {"attention": 1.0, "soft": 1.0})
        heads = student.heads
        assert str(caught.value) == (
            f"--objective: attention compares head with head, and the student has {heads}, its teacher 12. {remedy}"
        )


def test_projections_begin_as_the_basis_of_a_narrowed_student(tiny_base: Path) -> None:
    teacher = new_model(str(tiny_base), TASK)
    basis = Basis(torch.linalg.qr(torch.randn(32, 16, dtype=torch.float64)).Q, 0.9)
    student = new_student(
        teacher, TASK, parse_shape("1x16", shape_of(teacher.config)), "svd", dropout=0.0, basis=lambda: basis
    )
    Lesson(
        *(teacher, student.model, TASK, {"hidden": 1.0}),
        hard=row_loss(TASK),
        temperature=2.0,
        layer_map=((0, 1),),
        answers=[],
        device=CPU,
        basis=student.basis,
    )
    torch.testing.assert_close(student.model.projections.hidden.weight, basis.vectors.float())
