"""The tasks: encode labels, decode outputs, judge. One file a task; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.errors import UsageError
from limbeck.tasks.base import Label, Logits, Task
from limbeck.tasks.classify import Classify
from limbeck.tasks.multilabel import MultiLabel
from limbeck.tasks.regress import Regress
from limbeck.tasks.results import Classification, MultiLabelling, Reading, Regression, Result

AnyTask = Classify | MultiLabel | Regress

__all__ = [
    "AnyTask",
    "Classification",
    "Classify",
    "Label",
    "Logits",
    "MultiLabel",
    "MultiLabelling",
    "Reading",
    "Regress",
    "Regression",
    "Result",
    "Task",
    "make_task",
]


def make_task(name: str, labels: Sequence[str]) -> AnyTask:
    """The task `name` over `labels`, not yet calibrated.

    Raises `UsageError` for a name that is no task.
    """
    if name == "classify":
        return Classify(tuple(labels))
    if name == "multilabel":
        return MultiLabel(tuple(labels))
    if name == "regress":
        return Regress()
    raise UsageError(f"unknown task {name!r}: expected classify, multilabel or regress")
