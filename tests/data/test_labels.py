from __future__ import annotations

import pytest

from limbeck.data import Columns
from limbeck.data.labels import check_task, convert, infer_task, label_order
from limbeck.data.problems import RowProblem
from limbeck.errors import UsageError


@pytest.mark.parametrize(
    ("raw", "task"),
    [
        (["a", "b"], "classify"),
        (["1", "0", "2"], "classify"),
        ([1, 0, 5], "classify"),
        ([1.0, 0.0], "classify"),
        ([True, False], "classify"),
        (["0.5", "1"], "regress"),
        ([0.5, 1.0, None], "regress"),
        (["0.5", "1.5", "2.5", "many"], "regress"),
        (["0.5", "none", "many"], "classify"),
        ([str(i) for i in range(100)], "classify"),
        ([str(i) for i in range(101)], "regress"),
        ([("a",), ()], "multilabel"),
        (['["a", "b"]', "[]"], "multilabel"),
        (["['a', 'b']"], "multilabel"),
        (["[a]", "b"], "classify"),
    ],
)
def test_the_task_is_seen_from_the_labels(raw: list[object], task: str) -> None:
    assert infer_task(raw, Columns(), ("label",)).task == task


def test_columns_and_separators_say_multilabel() -> None:
    assert infer_task([()], Columns(), ("a", "b")).task == "multilabel"
    assert infer_task([("a",)], Columns(label_separator="|"), ("label",)).task == "multilabel"


@pytest.mark.parametrize(
    ("raw", "task", "label"),
    [
        ("joy", "classify", "joy"),
        (3, "classify", "3"),
        (3.0, "classify", "3"),
        (True, "classify", "true"),
        ("2.5", "regress", 2.5),
        (3, "regress", 3.0),
        (("a", "b"), "multilabel", ("a", "b")),
        ('["b", "a", "b"]', "multilabel", ("a", "b")),
        ("['b' \"a's\"\n 'b']", "multilabel", ("a's", "b")),  # an array, as numpy prints it
        (None, "multilabel", ()),
    ],
)
def test_labels_as_the_task_wants_them(raw: object, task: str, label: object) -> None:
    assert convert(raw, task) == label


@pytest.mark.parametrize(
    ("raw", "task"),
    [
        *((None, "classify"), (("a",), "classify")),
        *((None, "regress"), ("x", "regress"), ("1e999", "regress"), (True, "regress"), (float("inf"), "regress")),
        pytest.param(10**400, "regress", id="huge"),
        *(("a", "multilabel"), (3, "multilabel")),
    ],
)
def test_labels_that_do_not_fit(raw: object, task: str) -> None:
    with pytest.raises(RowProblem):
        convert(raw, task)


def test_order() -> None:
    assert label_order(["10", "9", "-1"], ("label",)) == ("-1", "9", "10")
    assert label_order(["b", "a", "10"], ("label",)) == ("10", "a", "b")
    assert label_order([("toxic",), ("rude",)], ("toxic", "rude", "never")) == ("toxic", "rude")


def test_other_tasks_are_refused() -> None:
    with pytest.raises(UsageError, match="classify, multilabel, regress, tag, embed"):
        check_task("answers")
