"""What a prediction is: one small struct a task, frozen; `msgspec.structs.asdict` gives its fields."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray


class Reading(msgspec.Struct, frozen=True):
    """How much of a text the model saw.

    `tokens` counts what was read, special tokens included; `truncated_tokens` what was cut off; `windows` in how
    many overlapping pieces the text was read.
    """

    tokens: int = 0
    truncated_tokens: int = 0
    windows: int = 1


class Classification(msgspec.Struct, frozen=True):
    """One label a text. `score` is its calibrated probability; `scores` has every label's."""

    label: str
    score: float
    scores: dict[str, float]
    reading: Reading


class MultiLabelling(msgspec.Struct, frozen=True):
    """Any number of labels a text: those whose probability reaches the label's threshold, likeliest first."""

    labels: list[str]
    scores: dict[str, float]
    reading: Reading


class Regression(msgspec.Struct, frozen=True):
    """A number a text, in the unit of the training labels."""

    value: float
    reading: Reading


class Entity(msgspec.Struct, frozen=True):
    """One entity: `text` is `text[start:end]` of the very text that was read, in characters."""

    label: str
    text: str
    start: int
    end: int
    score: float


class Tagging(msgspec.Struct, frozen=True):
    """The entities of a text, in their order."""

    entities: list[Entity]
    reading: Reading


class Embedding(msgspec.Struct, frozen=True, eq=False):
    """A vector a text, float32 `[width]`."""

    vector: NDArray[np.float32]
    reading: Reading


class FoundSpan(msgspec.Struct, frozen=True):
    """A span that may answer a question: `text` is `text[start:end]` of the very context, in characters."""

    text: str
    start: int
    end: int
    score: float


class Answered(msgspec.Struct, frozen=True):
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
