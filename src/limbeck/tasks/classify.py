"""`classify`: exactly one of two or more labels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from limbeck.tasks.base import Label, Logits
from limbeck.tasks.calibration import cross_entropy, fit_temperature, softmax
from limbeck.tasks.metrics import macro_f1, one_hot
from limbeck.tasks.results import Classification, Reading, Result


class Classify(msgspec.Struct, frozen=True, tag="classify", tag_field="name"):
    """One of `labels` a text; scores are softmax(logits / temperature)."""

    labels: tuple[str, ...]
    temperature: float = 1.0

    @property
    def name(self) -> str:
        """`classify`."""
        return "classify"

    @property
    def outputs(self) -> int:
        """One logit a label."""
        return len(self.labels)

    @property
    def metric(self) -> str:
        """`accuracy`."""
        return "accuracy"

    def encode(self, labels: Sequence[Label]) -> NDArray[np.generic]:
        """Label indices, int64 `[rows]`."""
        index = {label: i for i, label in enumerate(self.labels)}
        return np.array([index[str(label)] for label in labels], dtype=np.int64)

    def decode(self, logits: Logits, readings: Sequence[Reading]) -> list[Result]:
        """The likeliest label of each row, with every label's probability."""
        best = logits.argmax(axis=1).tolist()
        rows = softmax(logits / self.temperature).tolist()
        return [
            Classification(self.labels[i], p[i], dict(zip(self.labels, p, strict=True)), reading)
            for i, p, reading in zip(best, rows, readings, strict=True)
        ]

    def merge(self, windows: Logits, weights: NDArray[np.float32]) -> Logits:
        """The mean of the windows' logits, weighted by the tokens each window has."""
        return np.average(windows, axis=0, weights=weights).astype(np.float32)

    def predictions(self, logits: Logits) -> list[Hashable]:
        """The likeliest label of each row."""
        return [self.labels[i] for i in np.argmax(logits, axis=1)]

    def evidence(self, logits: Logits, targets: NDArray[np.generic]) -> NDArray[np.float64]:
        """Whether each row is right, `[rows, 1]`."""
        return np.asarray(np.argmax(logits, axis=1) == targets, dtype=np.float64)[:, None]

    def metric_of(self, evidence: NDArray[np.float64]) -> float:
        """Accuracy."""
        return float(evidence.mean())

    def score(self, logits: Logits, targets: NDArray[np.generic]) -> float:
        """Accuracy."""
        return self.metric_of(self.evidence(logits, targets))

    def scores(self, logits: Logits, targets: NDArray[np.generic]) -> dict[str, float]:
        """Accuracy and macro F1; with two labels also the F1 of each (`f1_LABEL`)."""
        predicted = one_hot(np.argmax(logits, axis=1), self.outputs)
        wanted = one_hot(targets.astype(np.int64), self.outputs)
        result = {"accuracy": self.score(logits, targets), "macro_f1": macro_f1(predicted, wanted)}
        if self.outputs == 2:
            for i, label in enumerate(self.labels):
                result[f"f1_{label}"] = macro_f1(predicted[:, i : i + 1], wanted[:, i : i + 1])
        return result

    def calibrated(self, logits: Logits, targets: NDArray[np.generic]) -> Classify:
        """With the temperature of least cross-entropy on these rows."""
        indices = targets.astype(np.int64)
        return Classify(self.labels, fit_temperature(lambda t: cross_entropy(logits / t, indices), len(indices)))
