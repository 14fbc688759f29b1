"""`embed`: a vector a text, near those of texts that mean the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.tasks.base import Label, Logits
from limbeck.tasks.metrics import pearson, spearman
from limbeck.tasks.results import Embedding, Reading, Result

LearntFrom = Literal["scored", "pairs", "triplets"]
SAME = 1e-6  # cosines to two vectors of one text, read in other company, may differ by rounding
_EQUAL = 1e-10  # and so far below 1 may the cosine of the two be
RECALLED_AT = (1, 5, 10)
_CHUNK = 10_000_000  # cosines held at once


class Embed(msgspec.Struct, frozen=True, tag="embed", tag_field="name"):
    """Vectors as wide as the encoder, of length 1 if `normalized`, compared by their cosine.

    `learnt_from` says what a labelled row is: two texts with a number that says how alike they are (`scored`), two that
    belong together (`pairs`), or these and a third that does not (`triplets`). The logits of labelled rows are
    `[rows, parts * width]`, the vectors of a row's texts side by side; those of texts to embed `[rows, width]`.
    """

    learnt_from: LearntFrom = "scored"
    normalized: bool = True

    @property
    def name(self) -> str:
        """`embed`."""
        return "embed"

    @property
    def labels(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def outputs(self) -> int:
        """0: as many as the encoder is wide."""
        return 0

    @property
    def parts(self) -> int:
        """The texts of a labelled row."""
        return 3 if self.learnt_from == "triplets" else 2

    @property
    def metric(self) -> str:
        """`spearman` on scored pairs, `recall_at_1` on pairs, `triplet_accuracy` on triplets."""
        return {"scored": "spearman", "pairs": "recall_at_1", "triplets": "triplet_accuracy"}[self.learnt_from]

    def encode(self, labels: Sequence[Label]) -> NDArray[np.generic]:
        """The scores of scored pairs, float32 `[rows]`; zeros for rows without a score.

        Raises `DataError` for rows of another kind than the task was learnt from.
        """
        given = learnt_from(labels) if labels else self.learnt_from
        if given != self.learnt_from:
            raise DataError(f"these rows hold {_HOLD[given]}, and the model is judged by {_HOLD[self.learnt_from]}")
        if given != "scored":
            return np.zeros(len(labels), dtype=np.float32)
        return np.array([float(str(label)) for label in labels], dtype=np.float32)

    def decode(self, logits: Logits, readings: Sequence[Reading]) -> list[Result]:
        """The vector of each row."""
        return [Embedding(vector, reading) for vector, reading in zip(logits, readings, strict=True)]

    def merge(self, windows: Logits, weights: NDArray[np.float32]) -> Logits:
        """The mean of the windows' vectors, weighted by the tokens each window has."""
        mean = np.average(windows, axis=0, weights=weights).astype(np.float32)
        return unit_length(mean) if self.normalized else mean

    def side_by_side(self, vectors: Logits) -> Logits:
        """Vectors of all first texts, then of all second ones, `[parts * rows, width]`, as `[rows, parts * width]`."""
        return np.concatenate(np.split(vectors, self.parts), axis=1)

    def predictions(self, logits: Logits) -> list[Hashable]:
        """None for every row: a vector has no label that could change; the difference of the logits says it all."""
        return [None] * len(logits)

    def evidence(self, logits: Logits, targets: NDArray[np.generic]) -> NDArray[np.float64]:
        """What each row says: of scored pairs the cosine and the score, `[rows, 2]`.

        Of triplets the cosines to the second and to the third text, `[rows, 2]`. Of pairs the rank of a row's own
        second text among the second texts of all rows, from 1, `[rows, 1]`; other texts equally near count half each.
        """
        vectors = [unit_length(part) for part in np.split(logits.astype(np.float64), self.parts, axis=1)]
        if self.learnt_from == "pairs":
            return _ranks_of_own(vectors[0], vectors[1])
        near = np.sum(vectors[0] * vectors[1], axis=1)
        other = np.sum(vectors[0] * vectors[2], axis=1) if self.parts > 2 else targets.astype(np.float64)
        return np.stack([near, other], axis=1)

    def metric_of(self, evidence: NDArray[np.float64]) -> float:
        """Spearman's rank correlation, the share of rows whose own text is nearest, or that of triplets in order."""
        if self.learnt_from == "scored":
            return spearman(evidence[:, 0], evidence[:, 1])
        if self.learnt_from == "pairs":
            return float(np.mean(evidence[:, 0] <= 1))
        return float(np.mean(evidence[:, 0] > evidence[:, 1]))

    def score(self, logits: Logits, targets: NDArray[np.generic]) -> float:
        """`metric_of` the `evidence`."""
        return self.metric_of(self.evidence(logits, targets))

    def scores(self, logits: Logits, targets: NDArray[np.generic]) -> dict[str, float]:
        """The metric; of scored pairs also Pearson's r, of pairs recall at 5 and 10 and the mean reciprocal rank."""
        evidence = self.evidence(logits, targets)
        if self.learnt_from == "scored":
            return {"spearman": self.metric_of(evidence), "pearson": pearson(evidence[:, 0], evidence[:, 1])}
        if self.learnt_from == "pairs":
            ranks = evidence[:, 0]
            return {f"recall_at_{k}": float(np.mean(ranks <= k)) for k in RECALLED_AT} | {
                "mrr": float(np.mean(1 / ranks))
            }
        return {"triplet_accuracy": self.metric_of(evidence)}

    def calibrated(self, logits: Logits, targets: NDArray[np.generic]) -> Embed:
        """Itself: a cosine is no probability."""
        return self


_HOLD: dict[LearntFrom, str] = {
    "scored": "two texts and a number",
    "pairs": "two texts and no number",
    "triplets": "two texts and a negative one",
}


def learnt_from(labels: Sequence[Label]) -> LearntFrom:
    """What labelled rows are, from their labels: numbers, nothing, or the third texts of triplets.

    Raises `DataError` where some rows are of one kind and some of another.
    """
    kinds: set[LearntFrom] = {
        "scored" if isinstance(label, float) else "triplets" if label else "pairs" for label in labels
    }
    if len(kinds) > 1:
        found = ", some ".join(_HOLD[kind] for kind in sorted(kinds))
        raise DataError(f"some rows hold {found}: expected all of one kind")
    return kinds.pop()


def unit_length(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Vectors `[..., width]` with length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: NDArray[np.floating] = vectors / np.maximum(lengths, np.finfo(vectors.dtype).tiny)
    return scaled


def _ranks_of_own(vectors: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """The rank of each row of `others` among all of them by its cosine to the same row of `vectors`, `[rows, 1]`.

    Others equally near count half each, so that a model that tells nothing apart ranks as chance does. A text that
    belongs to several rows does not count against itself: the texts are not known here, so vectors equal to a row's
    own are taken for it, unless they are more than half of all.
    """
    own = np.sum(vectors * others, axis=1, keepdims=True)
    ranks = np.ones(own.shape)
    step = max(1, _CHUNK // max(1, 2 * len(others)))
    for begin in range(0, len(vectors), step):
        chunk = slice(begin, begin + step)
        ahead = vectors[chunk] @ others.T - own[chunk]
        equal = others[chunk] @ others.T > 1 - _EQUAL
        equal &= np.mean(equal, axis=1, keepdims=True) <= 0.5
        np.fill_diagonal(equal[:, begin:], True)
        beside = (np.abs(ahead) <= SAME) & ~equal
        ranks[chunk] += np.sum((ahead > SAME) + beside / 2, axis=1, keepdims=True)
    return ranks
