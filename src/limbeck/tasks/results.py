"""What a prediction is: one small dataclass a task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a text the model saw.

    `tokens` counts what was read, special tokens included; `truncated_tokens` what was cut off; `windows` in how
    many overlapping pieces the text was read.
    """

    tokens: int = 0
    truncated_tokens: int = 0
    windows: int = 1


@dataclass(frozen=True, slots=True)
class Classification:
    """One label a text. `score` is its calibrated probability; `scores` has every label's."""

    label: str
    score: float
    scores: dict[str, float]
    reading: Reading


@dataclass(frozen=True, slots=True)
class MultiLabelling:
    """Any number of labels a text: those whose probability reaches the label's threshold, likeliest first."""

    labels: list[str]
    scores: dict[str, float]
    reading: Reading


@dataclass(frozen=True, slots=True)
class Regression:
    """A number a text, in the unit of the training labels."""

    value: float
    reading: Reading


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity: `text` is `text[start:end]` of the very text that was read, in characters."""

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Tagging:
    """The entities of a text, in their order."""

    entities: list[Entity]
    reading: Reading


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A vector a text, float32 `[width]`."""

    vector: NDArray[np.float32]
    reading: Reading


@dataclass(slots=True)
class FoundSpan:
    """A span that may answer a question: `text` is `text[start:end]` of the very context, in characters.

    Not frozen as the others are: five are made a question, and a frozen one takes three times as long to make.
    """

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a question as a span of its context; an empty `text` without place where there is none.

    `score` is the calibrated probability of what is answered, be it that there is no answer; `best` are the likeliest
    spans, best first.
    """

    text: str
    start: int | None
    end: int | None
    score: float
    best: list[FoundSpan]
    reading: Reading


Result = Classification | MultiLabelling | Regression | Tagging | Embedding | Answered
