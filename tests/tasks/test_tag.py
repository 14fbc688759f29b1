from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score

from limbeck.tasks import AnyTask, Entity, Reading, Tag, Tagging
from limbeck.tasks.bio import ABSENT, best_tags, entities_of, may_follow, tag_names, tags_of
from limbeck.tasks.calibration import softmax

TASK = Tag(("LOC", "PER"))
TAGS = tag_names(TASK.labels)


def legal(path: tuple[int, ...]) -> bool:
    allowed = may_follow(2)
    return all(allowed[a, b] for a, b in itertools.pairwise((0, *path)))


def ragged(rows: list[list[list[float]]]) -> np.ndarray:
    logits = np.full((len(rows), max(map(len, rows)), 5), -np.inf, dtype=np.float32)
    for i, row in enumerate(rows):
        if row:
            logits[i, : len(row)] = row
    return logits


numbers = st.integers(-6, 6).map(float)
scored = st.lists(
    st.lists(st.lists(numbers, min_size=5, max_size=5), min_size=0, max_size=4), min_size=1, max_size=4
).filter(lambda rows: any(rows))


@given(scored)
def test_viterbi_finds_the_best_legal_path(rows: list[list[list[float]]]) -> None:
    for tags, row in zip(best_tags(ragged(rows)), rows, strict=True):
        found = tuple(tags[: len(row)].tolist())
        assert (tags[len(row) :] == ABSENT).all()
        assert legal(found)
        paths = (p for p in itertools.product(range(5), repeat=len(row)) if legal(p))
        best = max(sum(row[i][t] for i, t in enumerate(p)) for p in paths)
        assert sum(row[i][t] for i, t in enumerate(found)) == pytest.approx(best)


def test_there_may_be_hundreds_of_labels() -> None:
    task = Tag(tuple(f"L{n}" for n in range(300)))
    logits = np.zeros((1, 2, task.outputs), dtype=np.float32)
    logits[0, 0, 599] = logits[0, 1, 600] = 9  # B and I of the last label
    assert task.predictions(logits) == ["L299 0-1"]
    targets = task.encode([((0, 3, "L299"),)], [np.array([[0, 1], [2, 3]], dtype=np.int32)])
    assert task.score(logits, targets) == 1.0


def test_an_illegal_sequence_is_repaired() -> None:
    # The likeliest tags by themselves would be O, I-PER, I-LOC.
    logits = ragged([[[5, 0, 0, 0, 0], [0, 0, 0, 2.5, 3], [0, 0, 3, 0, 2.9]]])
    assert [TAGS[tag] for tag in best_tags(logits)[0]] == ["O", "B-PER", "I-PER"]


sequences = (
    st.lists(st.integers(0, 4), max_size=9)
    .map(lambda path: [t if legal((*path[:i], t)) and legal(tuple(path[: i + 1])) else 0 for i, t in enumerate(path)])
    .filter(lambda path: legal(tuple(path)))
)


@given(st.lists(st.tuples(sequences, sequences), min_size=1, max_size=8))
def test_the_scores_are_those_of_seqeval(pairs: list[tuple[list[int], list[int]]]) -> None:
    pairs = [(a[: min(len(a), len(b))], b[: min(len(a), len(b))]) for a, b in pairs]
    width = max(len(a) for a, _ in pairs)
    logits = ragged([[[9.0 if t == tag else 0.0 for t in range(5)] for tag in a] for a, _ in pairs])
    targets = np.full((len(pairs), width), ABSENT, dtype=np.int8)
    for target, (_, wanted) in zip(targets, pairs, strict=True):
        target[: len(wanted)] = wanted
    given_names = [[TAGS[t] for t in a] for a, _ in pairs]
    wanted_names = [[TAGS[t] for t in b] for _, b in pairs]
    scores = TASK.scores(logits, targets)
    assert scores["entity_f1"] == pytest.approx(f1_score(wanted_names, given_names, zero_division=0))
    assert scores["precision"] == pytest.approx(precision_score(wanted_names, given_names, zero_division=0))
    assert scores["recall"] == pytest.approx(recall_score(wanted_names, given_names, zero_division=0))


def test_entities_become_tags_and_back() -> None:
    spans = np.array([[0, 3], [4, 8], [8, 9], [9, 12], [13, 17]], dtype=np.int32)
    tags = tags_of(((0, 3, "PER"), (8, 17, "LOC")), spans, TASK.labels)
    assert [TAGS[t] for t in tags] == ["B-PER", "O", "B-LOC", "I-LOC", "I-LOC"]
    assert entities_of(tags) == [(0, 0, 1), (2, 4, 0)]
    # An entity that begins within a word takes the whole word.
    assert tags_of(((5, 8, "PER"),), spans, TASK.labels).tolist() == [0, 3, 0, 0, 0]


def test_two_entities_of_one_kind_side_by_side_stay_two() -> None:
    assert entities_of(np.array([1, 1, 2, 3, 4], dtype=np.int8)) == [(0, 0, 0), (1, 2, 0), (3, 4, 1)]


def test_decode_gives_spans_of_the_text_itself() -> None:
    text = "Anna  lives in Basel."
    spans = np.array([[0, 4], [6, 11], [12, 14], [15, 20], [20, 21]], dtype=np.int32)
    logits = np.full((1, 6, 5), 0, dtype=np.float32)
    logits[0, :5, 0] = 3
    logits[0, 0, 3] = logits[0, 3, 1] = 6
    logits[0, 5] = -np.inf
    (found,) = TASK.decode(logits, [Reading(7)], [text], [spans])
    assert isinstance(found, Tagging)
    assert [(e.label, e.text, e.start, e.end) for e in found.entities] == [
        ("PER", "Anna", 0, 4),
        ("LOC", "Basel", 15, 20),
    ]
    assert 0.9 < found.entities[0].score < 1
    assert all(isinstance(e, Entity) and text[e.start : e.end] == e.text for e in found.entities)
    assert TASK.predictions(logits) == ["PER 0, LOC 3"]


def test_words_that_were_cut_off_count_as_missed() -> None:
    targets = np.array([[1, 0, 3]], dtype=np.int8)
    logits = ragged([[[0, 9, 0, 0, 0], [9, 0, 0, 0, 0]]])
    assert TASK.evidence(logits, targets).tolist() == [[1, 1, 2]]
    assert TASK.scores(logits, targets)["recall"] == 0.5


def test_calibration_takes_the_words_of_all_rows() -> None:
    random = np.random.default_rng(0)
    honest = random.normal(0, 2, (400, 6, 5)).astype(np.float32)
    targets = np.array([[random.choice(5, p=unit) for unit in row] for row in softmax(honest)])
    assert TASK.calibrated(honest * 3, targets).temperature == pytest.approx(3, rel=0.1)


def test_is_kept_in_the_manifest() -> None:
    kept: AnyTask = Tag(("A", "B"), 1.5)
    assert msgspec.json.decode(msgspec.json.encode(kept), type=AnyTask) == kept  # type: ignore[arg-type]
    assert kept.outputs == 5
