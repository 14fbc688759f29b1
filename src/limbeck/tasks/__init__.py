"""The tasks: encode labels, decode outputs, judge. One file a task; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.errors import UsageError
from limbeck.tasks.answer import Answer
from limbeck.tasks.base import Label, Logits, Span, Task
from limbeck.tasks.classify import Classify
from limbeck.tasks.embed import Embed
from limbeck.tasks.multilabel import MultiLabel
from limbeck.tasks.regress import Regress
from limbeck.tasks.results import (
    Answered,
    Classification,
    Embedding,
    Entity,
    FoundSpan,
    MultiLabelling,
    Reading,
    Regression,
    Result,
    Tagging,
)
from limbeck.tasks.tag import Tag

AnyTask = Classify | MultiLabel | Regress | Tag | Embed | Answer
NUMERIC = ("regress", "embed")  # tasks of numbers: no answer changes, it moves

__all__ = [
    "NUMERIC",
    "Answer",
    "Answered",
    "AnyTask",
    "Classification",
    "Classify",
    "Embed",
    "Embedding",
    "Entity",
    "FoundSpan",
    "Label",
    "Logits",
    "MultiLabel",
    "MultiLabelling",
    "Reading",
    "Regress",
    "Regression",
    "Result",
    "Span",
    "Tag",
    "Tagging",
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
    if name == "tag":
        return Tag(tuple(labels))
    if name == "embed":
        return Embed()
    if name == "answer":
        return Answer()
    raise UsageError(f"unknown task {name!r}: expected classify, multilabel, regress, tag, embed or answer")
