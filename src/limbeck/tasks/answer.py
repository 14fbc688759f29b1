"""`answer`: the span of a context that answers a question, or that there is none."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from limbeck.tasks.base import Label, Logits
from limbeck.tasks.calibration import cross_entropy, fit_temperature, softmax
from limbeck.tasks.results import Answered, FoundSpan, Reading
from limbeck.tasks.spans import N_BEST, Candidates, best_spans, judge, normalise, units_touched

LONGEST_ANSWER = 30  # units; as in BERT's own evaluation
SHOWN = 5
NO_ANSWER = "no answer"
Spans = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Gold:
    """What is wanted of a row: its context, where the units of the context stand, and the answers that are right.

    `spans` are characters `[units, 2]`; `units` are the first and last units of the answers, `texts` their normalised
    texts; both are empty where the context has no answer.
    """

    context: str
    spans: Spans
    units: tuple[tuple[int, int], ...]
    texts: tuple[str, ...]

    def text_of(self, first: int, last: int) -> str:
        """The characters from one unit to another."""
        return self.context[self.spans[first, 0] : self.spans[last, 1]].strip()


class Answer(msgspec.Struct, frozen=True, tag="answer", tag_field="name"):
    """Spans of at most `longest` units; logits are `[rows, units, 2]`, -inf where a row has no unit any more.

    Unit 0 stands for no answer, the others are the pieces of the context. A row whose best span has log-odds against no
    answer of `threshold` or less has no answer; None answers always.
    """

    temperature: float = 1.0
    threshold: float | None = None
    longest: int = LONGEST_ANSWER

    @property
    def name(self) -> str:
        """`answer`."""
        return "answer"

    @property
    def labels(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def outputs(self) -> int:
        """Two: the logits that an answer starts and ends at a unit."""
        return 2

    @property
    def metric(self) -> str:
        """`answer_f1`."""
        return "answer_f1"

    def encode(
        self, labels: Sequence[Label], contexts: Sequence[str] = (), spans: Sequence[Spans] = ()
    ) -> NDArray[np.generic]:
        """`Gold`s `[rows]`, from answers as spans of characters and where the units of the contexts stand."""
        golds = np.empty(len(labels), dtype=object)
        for row, (label, context, where) in enumerate(zip(labels, contexts, spans, strict=True)):
            answers = [span for span in label if isinstance(span, tuple)] if isinstance(label, tuple) else []
            touched = (units_touched(where, start, end) for start, end, _ in answers)
            texts = dict.fromkeys(normalise(text) for *_, text in answers)
            golds[row] = Gold(context, where, tuple(units for units in touched if units), tuple(texts))
        return golds

    def candidates(self, logits: Logits, most: int = N_BEST) -> Candidates:
        """The best spans of each row."""
        return best_spans(logits, longest=self.longest, most=most)

    def given(self, found: Candidates) -> NDArray[np.bool_]:
        """Whether each row is answered with its best span, `[rows]`."""
        least = -np.inf if self.threshold is None else self.threshold
        return np.asarray(found.scores[:, 0] > least)

    def decode(
        self, logits: Logits, readings: Sequence[Reading], contexts: Sequence[str], spans: Sequence[Spans]
    ) -> list[Answered]:
        """The answer of each row as a span of its context, with the next best ones."""
        found = self.candidates(logits)
        given, likely = self.given(found).tolist(), self.probabilities(found.scores)[:, : 1 + SHOWN].tolist()
        starts, ends = _characters(spans, found.first[:, :SHOWN], found.last[:, :SHOWN])
        results = []
        for row in zip(contexts, readings, given, likely, starts, ends, strict=True):
            context, reading, answered, (nothing, *scores), begin, stop = row
            shown = [_found(context, a, b, score) for a, b, score in zip(begin, stop, scores, strict=True) if score > 0]
            results.append(_answered([span for span in shown if span.text], answered, nothing, reading))
        return results

    def probabilities(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of no answer, which scores the threshold, and of each of the best spans, `[rows, 1 + N_BEST]`."""
        nothing = np.full((len(scores), 1), -np.inf if self.threshold is None else self.threshold)
        every = np.concatenate([nothing, scores.astype(np.float64)], axis=1)
        every[~np.isfinite(every).any(axis=1), 0] = 0.0  # a context without a single unit
        return softmax(every / self.temperature)

    def predictions(self, logits: Logits) -> list[Hashable]:
        """The units of each row's answer, `3-5`, or `no answer`."""
        found = self.candidates(logits, 1)
        best = zip(self.given(found), found.first[:, 0].tolist(), found.last[:, 0].tolist(), strict=True)
        return [f"{first}-{last}" if answered else NO_ANSWER for answered, first, last in best]

    def describe(self, prediction: str, gold: Gold) -> str:
        """The text of what `predictions` gave for a row."""
        first, _, last = prediction.partition("-")
        return gold.text_of(int(first), int(last)) if last else prediction

    def evidence(self, logits: Logits, targets: NDArray[np.generic]) -> NDArray[np.float64]:
        """F1 and exact match of each row by the SQuAD rules, `[rows, 2]`."""
        found = self.candidates(logits, 1)
        return _judged(found, self.given(found), targets)

    def metric_of(self, evidence: NDArray[np.float64]) -> float:
        """The mean F1."""
        return float(evidence[:, 0].mean())

    def score(self, logits: Logits, targets: NDArray[np.generic]) -> float:
        """The mean F1 by the SQuAD rules."""
        return self.metric_of(self.evidence(logits, targets))

    def scores(self, logits: Logits, targets: NDArray[np.generic]) -> dict[str, float]:
        """F1 and exact match; where some rows have no answer also the F1 of the others, and how often that is seen."""
        evidence = self.evidence(logits, targets)
        result = {"answer_f1": self.metric_of(evidence), "exact_match": float(evidence[:, 1].mean())}
        there = np.array([bool(gold.texts) for gold in targets.tolist()])
        if there.any() and not there.all():
            result["answerable_f1"] = self.metric_of(evidence[there])
            result["unanswerable_accuracy"] = float(evidence[~there, 1].mean())
        return result

    def calibrated(self, logits: Logits, targets: NDArray[np.generic]) -> Answer:
        """With the temperature of least cross-entropy, the threshold of best F1, and answers as long as here."""
        golds: list[Gold] = targets.tolist()
        longest = max([LONGEST_ANSWER, *(last - first + 1 for gold in golds for first, last in gold.units)])
        found = best_spans(logits, longest=longest)
        threshold = None if all(gold.texts for gold in golds) else _best_threshold(found, targets)
        task = Answer(1.0, threshold, longest)
        right = np.array([_place(found, row, gold) for row, gold in enumerate(golds)])
        nothing = np.full((len(right), 1), -np.inf if threshold is None else threshold, np.float32)
        scores = np.concatenate([nothing, found.scores], axis=1)
        known = (right >= 0) & np.isfinite(scores[np.arange(len(right)), right])
        if not known.any():
            return task
        seen, places = scores[known], right[known]
        return Answer(fit_temperature(lambda t: cross_entropy(seen / t, places), len(places)), threshold, longest)


def _characters(
    spans: Sequence[Spans], first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[list[list[int]], list[list[int]]]:
    """Where the characters of spans of units `[rows, spans]` start and end, from the characters of each row's units."""
    if not len(spans):
        return [], []
    begin = np.cumsum([0, *map(len, spans[:-1])])[:, None]
    every = np.concatenate(spans)
    return every[begin + first, 0].tolist(), every[begin + last, 1].tolist()


def _found(context: str, start: int, end: int, score: float) -> FoundSpan:
    """A span without the white space around it: some tokenizers count the space before a piece in."""
    text = context[start:end]
    bare = text.strip()
    if len(bare) < len(text):
        start += len(text) - len(text.lstrip())
    return FoundSpan(bare, start, start + len(bare), score)


def _answered(best: list[FoundSpan], given: bool, nothing: float, reading: Reading) -> Answered:
    if not best or not given:
        return Answered("", None, None, nothing, best, reading)
    return Answered(best[0].text, best[0].start, best[0].end, best[0].score, best, reading)


def _judged(found: Candidates, given: NDArray[np.bool_], targets: NDArray[np.generic]) -> NDArray[np.float64]:
    rows = zip(targets.tolist(), found.first[:, 0].tolist(), found.last[:, 0].tolist(), given, strict=True)
    judged = [judge(gold.text_of(first, last) if answered else "", gold.texts) for gold, first, last, answered in rows]
    return np.array(judged, dtype=np.float64).reshape(-1, 2)


def _best_threshold(found: Candidates, targets: NDArray[np.generic]) -> float:
    """The log-odds from which answering gives the best mean F1 over these rows."""
    rows = len(targets)
    answered = _judged(found, np.ones(rows, np.bool_), targets)[:, 0]
    silent = np.array([float(not gold.texts) for gold in targets.tolist()])
    order = np.argsort(-found.scores[:, 0], kind="stable")
    # Answering the n surest rows, for every n.
    total = silent.sum() + np.concatenate([[0.0], np.cumsum((answered - silent)[order])])
    surest = int(np.argmax(total))
    scores = found.scores[order, 0].astype(np.float64)
    above = scores[surest - 1] if surest else scores[0] + 1
    below = scores[surest] if surest < rows else scores[-1] - 1
    return float((above + below) / 2)


def _place(found: Candidates, row: int, gold: Gold) -> int:
    """Which column of `probabilities` is right for a row, 0 for no answer; -1 where the right span is in none."""
    if not gold.texts:
        return 0
    for place, span in enumerate(zip(found.first[row].tolist(), found.last[row].tolist(), strict=True)):
        if span in gold.units:
            return 1 + place
    return -1
