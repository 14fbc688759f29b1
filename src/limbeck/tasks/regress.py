"""`regress`: a number a text."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from limbeck.tasks.base import Label, Logits
from limbeck.tasks.metrics import pearson, spearman
from limbeck.tasks.results import Reading, Regression, Result


class Regress(msgspec.Struct, frozen=True, tag="regress", tag_field="name"):
    """One number a text, in the unit of the training labels."""

    @property
    def name(self) -> str:
        """`regress`."""
        return "regress"

    @property
    def labels(self) -> tuple[str, ...]:
        """None: the logit is the answer."""
        return ()

    @property
    def outputs(self) -> int:
        """One."""
        return 1

    @property
    def metric(self) -> str:
        """`spearman`."""
        return "spearman"

    def encode(self, labels: Sequence[Label]) -> NDArray[np.generic]:
        """The numbers, float32 `[rows]`."""
        return np.array([float(str(label)) for label in labels], dtype=np.float32)

    def decode(self, logits: Logits, readings: Sequence[Reading]) -> list[Result]:
        """The number of each row."""
        return [Regression(v, r) for v, r in zip(logits[:, 0].tolist(), readings, strict=True)]

    def merge(self, windows: Logits, weights: NDArray[np.float32]) -> Logits:
        """The mean of the windows' numbers, weighted by the tokens each window has."""
        return np.average(windows, axis=0, weights=weights).astype(np.float32)

    def predictions(self, logits: Logits) -> list[Hashable]:
        """None for every row: a number has no label that could change; the logit difference says it all."""
        return [None] * len(logits)

    def evidence(self, logits: Logits, targets: NDArray[np.generic]) -> NDArray[np.float64]:
        """The number given and the number wanted, `[rows, 2]`."""
        return np.stack([logits[:, 0].astype(np.float64), targets.astype(np.float64)], axis=1)

    def metric_of(self, evidence: NDArray[np.float64]) -> float:
        """Spearman's rank correlation."""
        return spearman(evidence[:, 0], evidence[:, 1])

    def score(self, logits: Logits, targets: NDArray[np.generic]) -> float:
        """Spearman's rank correlation."""
        return self.metric_of(self.evidence(logits, targets))

    def scores(self, logits: Logits, targets: NDArray[np.generic]) -> dict[str, float]:
        """Spearman's and Pearson's correlation, mean absolute error and root mean squared error."""
        got, wanted = logits[:, 0].astype(np.float64), targets.astype(np.float64)
        return {
            "spearman": spearman(got, wanted),
            "pearson": pearson(got, wanted),
            "mae": float(np.mean(np.abs(got - wanted))),
            "rmse": float(np.sqrt(np.mean((got - wanted) ** 2))),
        }

    def calibrated(self, logits: Logits, targets: NDArray[np.generic]) -> Regress:
        """Itself: a number has no scores to calibrate."""
        return self
