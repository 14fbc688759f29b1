"""`multilabel`: any number of labels a text, each with its own threshold."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from limbeck.tasks.base import Label, Logits
from limbeck.tasks.calibration import binary_cross_entropy, fit_temperature, fit_thresholds, sigmoid
from limbeck.tasks.metrics import f1_of_counts, macro_f1
from limbeck.tasks.results import MultiLabelling, Reading, Result


class MultiLabel(msgspec.Struct, frozen=True, tag="multilabel", tag_field="name"):
    """Any of `labels`; scores are sigmoid(logits / temperature), a label is given from its threshold up."""

    labels: tuple[str, ...]
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """`multilabel`."""
        return "multilabel"

    @property
    def outputs(self) -> int:
        """One logit a label."""
        return len(self.labels)

    @property
    def metric(self) -> str:
        """`micro_f1`."""
        return "micro_f1"

    def encode(self, labels: Sequence[Label]) -> NDArray[np.generic]:
        """0/1, float32 `[rows, labels]`."""
        index = {label: i for i, label in enumerate(self.labels)}
        targets = np.zeros((len(labels), len(self.labels)), dtype=np.float32)
        for row, names in enumerate(labels):
            for name in names if isinstance(names, tuple) else (str(names),):
                targets[row, index[str(name)]] = 1.0
        return targets

    def given(self, logits: Logits) -> NDArray[np.bool_]:
        """Which labels are given, `[rows, labels]`."""
        limits = np.array(self.thresholds or (0.5,) * self.outputs)
        return np.asarray(sigmoid(logits / self.temperature) >= limits)

    def decode(self, logits: Logits, readings: Sequence[Reading]) -> list[Result]:
        """The labels given to each row, likeliest first, with every label's probability."""
        given = self.given(logits)
        rows = sigmoid(logits / self.temperature)
        results: list[Result] = []
        for p, on, reading in zip(rows, given, readings, strict=True):
            names = [self.labels[i] for i in np.argsort(-p, kind="stable") if on[i]]
            results.append(MultiLabelling(names, dict(zip(self.labels, p.tolist(), strict=True)), reading))
        return results

    def merge(self, windows: Logits, weights: NDArray[np.float32]) -> Logits:
        """The largest logit of each label: a label that one window shows is in the text."""
        return np.asarray(windows.max(axis=0), dtype=np.float32)

    def predictions(self, logits: Logits) -> list[Hashable]:
        """The labels given to each row, joined by commas."""
        return [", ".join(self.labels[i] for i in np.flatnonzero(row)) for row in self.given(logits)]

    def evidence(self, logits: Logits, targets: NDArray[np.generic]) -> NDArray[np.float64]:
        """The labels of each row that are given and right, given, and right, `[rows, 3]`."""
        given, wanted = self.given(logits), np.asarray(targets > 0.5)  # type: ignore[operator]
        counts = [(given & wanted).sum(axis=1), given.sum(axis=1), wanted.sum(axis=1)]
        return np.stack(counts, axis=1).astype(np.float64)

    def metric_of(self, evidence: NDArray[np.float64]) -> float:
        """Micro F1 at the labels' thresholds."""
        return f1_of_counts(evidence)

    def score(self, logits: Logits, targets: NDArray[np.generic]) -> float:
        """Micro F1 at the labels' thresholds."""
        return self.metric_of(self.evidence(logits, targets))

    def scores(self, logits: Logits, targets: NDArray[np.generic]) -> dict[str, float]:
        """Micro F1, macro F1, and the share of rows whose whole label set is right."""
        given, wanted = self.given(logits), np.asarray(targets > 0.5)  # type: ignore[operator]
        return {
            "micro_f1": self.score(logits, targets),
            "macro_f1": macro_f1(given, wanted),
            "exact_match": float(np.mean(np.all(given == wanted, axis=1))),
        }

    def calibrated(self, logits: Logits, targets: NDArray[np.generic]) -> MultiLabel:
        """With the temperature of least cross-entropy and the thresholds of best F1 on these rows."""
        wanted = targets.astype(np.float64)
        temperature = fit_temperature(lambda t: binary_cross_entropy(logits / t, wanted), len(wanted))
        thresholds = fit_thresholds(sigmoid(logits / temperature), wanted > 0.5)
        return MultiLabel(self.labels, temperature, thresholds)
