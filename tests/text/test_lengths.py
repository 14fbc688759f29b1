from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.text import length_histogram, length_statistics, suggest_max_tokens

LENGTHS = st.lists(st.integers(2, 2000), min_size=1, max_size=300)


def test_statistics() -> None:
    found = length_statistics(list(range(1, 101)))
    assert (found.mean, found.median, found.p95, found.p99, found.longest) == (50.5, 51, 96, 100, 100)


@given(LENGTHS)
def test_percentiles_are_lengths_that_occur(lengths: list[int]) -> None:
    found = length_statistics(lengths)
    assert {found.median, found.p95, found.p99, found.longest} <= set(lengths)
    assert found.median <= found.p95 <= found.p99 <= found.longest == max(lengths)
    assert min(lengths) - 1e-9 <= found.mean <= max(lengths) + 1e-9


@given(LENGTHS, st.integers(32, 2000))
def test_the_suggestion_holds_nearly_all_texts_whole(lengths: list[int], limit: int) -> None:
    suggested = suggest_max_tokens(lengths, limit=limit)
    assert suggested <= limit
    assert suggested == limit or suggested % 16 == 0
    if suggested < limit:
        assert suggested >= 32
        assert sum(n <= suggested for n in lengths) >= 0.995 * len(lengths)
        if suggested > 32:  # and the next smaller one would not
            assert sum(n <= suggested - 16 for n in lengths) < 0.995 * len(lengths) + 1


@pytest.mark.parametrize(
    ("lengths", "limit", "wanted"),
    [
        ([5] * 10, 512, 32),
        ([33] * 10, 512, 48),
        ([600] * 10, 512, 512),
        ([5] * 10, 20, 20),
        ([20] * 999 + [500], 512, 32),
    ],
)
def test_suggestions(lengths: list[int], limit: int, wanted: int) -> None:
    assert suggest_max_tokens(lengths, limit=limit) == wanted


@given(LENGTHS)
def test_the_histogram_counts_every_row_between_its_edges(lengths: list[int]) -> None:
    found = length_histogram(lengths)
    counts, edges = found["counts"], found["edges"]
    assert len(edges) == len(counts) + 1 <= 41
    assert sum(counts) == len(lengths)
    assert edges[0] <= min(lengths)
    assert edges[-1] >= max(lengths)
    assert edges == sorted(edges)
