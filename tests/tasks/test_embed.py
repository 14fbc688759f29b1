from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from limbeck.errors import DataError
from limbeck.tasks import Embed, Embedding, Reading
from limbeck.tasks.embed import learnt_from, unit_length

RANDOM = np.random.default_rng(0)


def test_labels_say_what_rows_are() -> None:
    assert learnt_from([0.5, 1.0]) == "scored"
    assert learnt_from(["", ""]) == "pairs"
    assert learnt_from(["another text"]) == "triplets"
    with pytest.raises(DataError, match="some rows hold two texts and no number, some two texts and a number"):
        learnt_from([0.5, ""])
    with pytest.raises(
        DataError, match="these rows hold two texts and no number, and the model is judged by two texts and a number"
    ):
        Embed("scored").encode([""])


def test_scored_pairs_are_judged_by_rank_correlation_with_the_cosine() -> None:
    first, second = RANDOM.normal(size=(2, 30, 4)).astype(np.float32)
    scores = RANDOM.uniform(0, 5, 30)
    task = Embed("scored")
    cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in zip(first, second, strict=True)]
    found = task.scores(np.concatenate([first, second], axis=1), task.encode(scores.tolist()))
    assert found["spearman"] == pytest.approx(stats.spearmanr(cosines, scores).statistic)
    assert found["pearson"] == pytest.approx(stats.pearsonr(cosines, scores).statistic)


def test_pairs_are_judged_by_the_rank_of_their_own_text() -> None:
    directions = np.eye(3, dtype=np.float32)
    # The second row's own text is the second nearest, the third row's the third.
    second = np.array([[1, 0, 0], [0.9, 0.4, 0], [0.0, 0.3, 0.1]], dtype=np.float32)
    first = np.array([directions[0], [0.95, 0.1, 0], directions[0]], dtype=np.float32)
    task = Embed("pairs")
    logits = np.concatenate([first, second], axis=1)
    assert task.evidence(logits, np.zeros(3)).tolist() == [[1], [2], [3]]
    found = task.scores(logits, np.zeros(3))
    assert found == pytest.approx({"recall_at_1": 1 / 3, "recall_at_5": 1, "recall_at_10": 1, "mrr": 11 / 18})


def test_ranks_are_the_same_whatever_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = RANDOM.normal(size=(23, 8)).astype(np.float32)
    whole = Embed("pairs").evidence(logits, np.zeros(23))
    monkeypatch.setattr("limbeck.tasks.embed._CHUNK", 50)
    assert Embed("pairs").evidence(logits, np.zeros(23)).tolist() == whole.tolist()


@pytest.mark.parametrize("second", [np.zeros((20, 8)), np.ones((20, 8))])
def test_vectors_that_are_all_alike_score_as_chance_does(second: NDArray[np.float64]) -> None:
    first = RANDOM.normal(size=(20, 8))
    ranks = Embed("pairs").evidence(np.concatenate([first, second], axis=1).astype(np.float32), np.zeros(20))
    assert ranks.tolist() == [[10.5]] * 20


def test_texts_equally_near_count_half() -> None:
    first = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    second = np.array([[1, 1], [1, -1], [-1, 0]], dtype=np.float32)
    ranks = Embed("pairs").evidence(np.concatenate([first, second], axis=1), np.zeros(3))
    assert ranks.tolist() == [[1.5], [3], [1]]


def test_a_text_that_belongs_to_several_does_not_count_against_itself() -> None:
    first = RANDOM.normal(size=(6, 8)).astype(np.float32)
    second = RANDOM.normal(size=(6, 8)).astype(np.float32)
    first[:2] = second[:2] = second[5]
    second[1] += 1e-7  # read in other company
    ranks = Embed("pairs").evidence(np.concatenate([first, second], axis=1), np.zeros(6))
    assert ranks[:2].tolist() == [[1], [1]]


def test_triplets_are_judged_by_their_order() -> None:
    triplets = np.array([[1, 0, 1, 0.1, 0, 1], [1, 0, 0, 1, 1, 0]], dtype=np.float32)
    assert Embed("triplets").score(triplets, np.zeros(2)) == 0.5


def test_vectors_come_back_as_they_are_and_windows_are_averaged() -> None:
    (found,) = Embed().decode(np.array([[3, 4]], dtype=np.float32), [Reading(3)])
    assert isinstance(found, Embedding)
    assert found.vector.tolist() == [3, 4]
    windows, weights = np.array([[1, 0], [0, 1]], dtype=np.float32), np.array([3, 1], dtype=np.float32)
    assert Embed(normalized=False).merge(windows, weights).tolist() == [0.75, 0.25]
    assert np.linalg.norm(Embed().merge(windows, weights)) == pytest.approx(1)
    assert unit_length(np.zeros(2)).tolist() == [0, 0]


def test_texts_read_apart_are_set_side_by_side() -> None:
    assert Embed("pairs").side_by_side(np.array([[1], [2], [3], [4]])).tolist() == [[1, 3], [2, 4]]
