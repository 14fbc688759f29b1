from __future__ import annotations

import numpy as np
import pytest

from limbeck.tasks.spans import best_spans, judge, normalise, token_f1, units_touched

RANDOM = np.random.default_rng(0)


def every_span(logits: np.ndarray, longest: int) -> list[tuple[float, int, int]]:
    """All spans of one row the slow way, best first."""
    units = int(np.isfinite(logits[:, 0]).sum())
    null = logits[0].sum()
    spans = [
        (float(logits[i, 0] + logits[j, 1] - null), i, j)
        for i in range(1, units)
        for j in range(i, min(units, i + longest))
    ]
    return sorted(spans, reverse=True)


@pytest.mark.parametrize("longest", [1, 3, 6, 50])
@pytest.mark.parametrize("most", [1, 6])
def test_the_best_spans_are_those_of_all_spans(longest: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.tasks.spans._CHUNK", 30)  # several chunks
    logits = RANDOM.normal(size=(9, 12, 2)).astype(np.float32)
    for row, units in enumerate((12, 12, 5, 1, 2, 12, 7, 12, 3)):
        logits[row, units:] = -np.inf
    found = best_spans(logits, longest=longest, most=most)
    for row in range(len(logits)):
        wanted = every_span(logits[row], longest)[:most]
        count = len(wanted)
        np.testing.assert_allclose(found.scores[row, :count], [score for score, *_ in wanted], atol=1e-6)
        found_spans = list(zip(found.first[row, :count], found.last[row, :count], strict=True))
        assert found_spans == [(i, j) for _, i, j in wanted]
        assert (found.scores[row, count:] == -np.inf).all()


def test_no_rows_and_no_units_give_nothing() -> None:
    assert best_spans(np.empty((0, 3, 2), np.float32), longest=5).scores.shape == (0, 20)
    assert (best_spans(np.zeros((2, 1, 2), np.float32), longest=5).scores == -np.inf).all()


def test_units_that_characters_touch() -> None:
    spans = np.array([[0, 0], [0, 4], [5, 8], [9, 12]], dtype=np.int32)
    assert units_touched(spans, 0, 4) == (1, 1)
    assert units_touched(spans, 6, 10) == (2, 3)
    assert units_touched(spans, 4, 5) is None
    assert units_touched(spans, 20, 30) is None


def test_answers_are_compared_by_the_squad_rules() -> None:
    assert normalise("The  Eiffel-Tower, a tower!") == "eiffeltower tower"
    assert token_f1("big red dog", "red dog") == pytest.approx(0.8)
    assert token_f1("", "") == 1.0
    assert token_f1("x", "") == 0.0
    assert judge("the Red dog", ("big red dog", "red dog")) == (1.0, 1.0)
    assert judge("a red cat", ("red dog",)) == (0.5, 0.0)
    assert judge("", ()) == (1.0, 1.0)
    assert judge("x", ()) == (0.0, 0.0)
