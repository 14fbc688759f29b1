"""`tag`: entities in a text, as spans of its characters."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from limbeck.tasks.base import Label, Logits
from limbeck.tasks.bio import ABSENT, OUTSIDE, best_tags, entities_of, tag_names, tags_of
from limbeck.tasks.calibration import cross_entropy, fit_temperature, softmax
from limbeck.tasks.metrics import f1_of_counts
from limbeck.tasks.results import Entity, Reading, Tagging

Spans = NDArray[np.int32]


class Tag(msgspec.Struct, frozen=True, tag="tag", tag_field="name"):
    """Entities of `labels`; logits are `[rows, units, tags]`, -inf where a row has no unit (word) any more."""

    labels: tuple[str, ...]
    temperature: float = 1.0

    @property
    def name(self) -> str:
        """`tag`."""
        return "tag"

    @property
    def tags(self) -> tuple[str, ...]:
        """`O`, and `B-` and `I-` of each label."""
        return tag_names(self.labels)

    @property
    def outputs(self) -> int:
        """One logit a tag."""
        return 1 + 2 * len(self.labels)

    @property
    def metric(self) -> str:
        """`entity_f1`."""
        return "entity_f1"

    def encode(self, labels: Sequence[Label], spans: Sequence[Spans] | None = None) -> NDArray[np.generic]:
        """Tag indices, int16 `[rows, units]`, ABSENT after a row's last unit; `spans` are where the units stand."""
        rows = [tags_of(found, where, self.labels) for found, where in zip(labels, spans or (), strict=True)]  # type: ignore[arg-type]
        targets = np.full((len(rows), max(map(len, rows), default=0)), ABSENT, dtype=np.int16)
        for target, tags in zip(targets, rows, strict=True):
            target[: len(tags)] = tags
        return targets

    def decode(
        self, logits: Logits, readings: Sequence[Reading], texts: Sequence[str], spans: Sequence[Spans]
    ) -> list[Tagging]:
        """The entities of each text, in its order, as spans of the text itself.

        The score of an entity is the mean probability of its tags.
        """
        tags = best_tags(logits)
        results = []
        for row, (text, where, reading) in enumerate(zip(texts, spans, readings, strict=True)):
            units = int((tags[row] != ABSENT).sum())
            given = softmax(logits[row, :units] / self.temperature)[np.arange(units), tags[row, :units]]
            entities = [
                Entity(
                    label=self.labels[label],
                    text=text[where[first, 0] : where[last, 1]],
                    start=int(where[first, 0]),
                    end=int(where[last, 1]),
                    score=float(given[first : last + 1].mean()),
                )
                for first, last, label in entities_of(tags[row])
            ]
            results.append(Tagging(entities, reading))
        return results

    def predictions(self, logits: Logits) -> list[Hashable]:
        """The entities of each row, as `describe` words them."""
        return [self.describe(tags) for tags in best_tags(logits)]

    def describe(self, tags: NDArray[np.int16]) -> str:
        """The entities of one row of tags in words: `PER 3-4, LOC 9`, units counted from 0."""
        found = entities_of(tags)
        return ", ".join(f"{self.labels[label]} {a}" + (f"-{b}" if b > a else "") for a, b, label in found)

    def evidence(self, logits: Logits, targets: NDArray[np.generic]) -> NDArray[np.float64]:
        """The entities of each row that are given and right, given, and wanted, `[rows, 3]`."""
        pairs = zip(best_tags(logits), targets.astype(np.int16), strict=True)
        return np.array([_counts(entities_of(a), entities_of(b)) for a, b in pairs], dtype=np.float64).reshape(-1, 3)

    def metric_of(self, evidence: NDArray[np.float64]) -> float:
        """F1 over entities: right are those with the same first unit, last unit and label (as seqeval counts)."""
        return f1_of_counts(evidence)

    def score(self, logits: Logits, targets: NDArray[np.generic]) -> float:
        """F1 over entities."""
        return self.metric_of(self.evidence(logits, targets))

    def scores(self, logits: Logits, targets: NDArray[np.generic]) -> dict[str, float]:
        """F1, precision and recall over entities, the F1 of each label (`f1_LABEL`), and the accuracy of the tags."""
        given, wanted = best_tags(logits), targets.astype(np.int16)
        right, answered, there = self.counts_by_label(given, wanted).T
        hits = float(right.sum())
        result = {
            "entity_f1": self.score(logits, targets),
            "precision": hits / max(1.0, float(answered.sum())),
            "recall": hits / max(1.0, float(there.sum())),
        }
        for label, f1 in zip(self.labels, 2 * right / np.maximum(1, answered + there), strict=True):
            result[f"f1_{label}"] = float(f1)
        both = min(given.shape[1], wanted.shape[1])
        seen = wanted[:, :both] != ABSENT
        result["tag_accuracy"] = float(np.mean((given[:, :both] == wanted[:, :both])[seen])) if seen.any() else 0.0
        return result

    def counts_by_label(self, given: NDArray[np.int16], wanted: NDArray[np.int16]) -> NDArray[np.float64]:
        """Entities right, given and wanted, by label, `[labels, 3]`, from tags `[rows, units]`."""
        counts = np.zeros((len(self.labels), 3))
        for a, b in zip(given, wanted, strict=True):
            one, other = set(entities_of(a)), set(entities_of(b))
            for column, found in enumerate((one & other, one, other)):
                for *_, label in found:
                    counts[label, column] += 1
        return counts

    def calibrated(self, logits: Logits, targets: NDArray[np.generic]) -> Tag:
        """With the temperature of least cross-entropy over the tags of these rows."""
        both = min(logits.shape[1], targets.shape[1])
        known = (targets[:, :both] != ABSENT) & (logits[:, :both, OUTSIDE] > -np.inf)
        seen, tags = logits[:, :both][known], targets[:, :both][known].astype(np.int64)
        if not len(tags):
            return self
        # The words of a text are no independent witnesses: texts are counted.
        return Tag(self.labels, fit_temperature(lambda t: cross_entropy(seen / t, tags), len(targets)))


def _counts(given: list[tuple[int, int, int]], wanted: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    return len(set(given) & set(wanted)), len(given), len(wanted)
