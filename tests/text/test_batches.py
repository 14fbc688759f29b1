from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from limbeck.text import Tokens, pad, padded_length, token_batches, training_batches

LENGTHS = st.lists(st.integers(1, 64), max_size=60)


@given(st.integers(1, 600), st.integers(1, 600))
def test_lengths_are_padded_to_eights_within_the_limit(tokens: int, limit: int) -> None:
    width = padded_length(tokens, limit=limit)
    assert tokens <= width < tokens + 8
    assert width <= max(tokens, limit)
    assert width % 8 == 0 or width in (tokens, limit) or tokens < 128
    assert width - tokens <= tokens / 16


def test_rows_begin_a_batch_of_their_own_where_more_would_be_padded_than_it_costs() -> None:
    lengths = [20] * 4 + [19] * 4 + [10] * 3 + [9]
    batches = token_batches(lengths, budget_tokens=1000, max_length=64, batch_cost=16)
    assert [[lengths[i] for i in batch] for batch in batches] == [[20] * 4 + [19] * 4, [10] * 3 + [9]]
    assert len(token_batches(lengths, budget_tokens=1000, max_length=64, batch_cost=30)) == 1
    assert len(token_batches(lengths, budget_tokens=1000, max_length=64, batch_cost=0)) == 4
    assert len(token_batches(lengths, budget_tokens=1000, max_length=64)) == 1


@given(LENGTHS, st.integers(1, 300), st.integers(0, 60))
def test_every_row_stays_in_its_place_whatever_a_batch_costs(lengths: list[int], budget: int, cost: int) -> None:
    batches = token_batches(lengths, budget_tokens=budget, max_length=64, batch_cost=cost)
    order = [int(i) for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    for batch in batches:
        widths = [padded_length(lengths[i], limit=64) for i in batch]
        assert len(batch) == 1 or len(batch) * widths[0] <= budget
        assert max(widths.count(w) * (widths[0] - w) for w in widths) <= cost


@given(LENGTHS, st.integers(1, 300), st.none() | st.integers(1, 5))
def test_token_batches_hold_every_row_once_within_the_budget(
    lengths: list[int], budget: int, max_rows: int | None
) -> None:
    batches = token_batches(lengths, budget_tokens=budget, max_length=64, max_rows=max_rows)
    order = [int(i) for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    for batch in batches:
        width = padded_length(max(lengths[i] for i in batch), limit=64)
        assert len(batch) == 1 or len(batch) * width <= budget
        assert max_rows is None or len(batch) <= max_rows
    # A batch is as full as it may be: the next row would have broken the budget or the count.
    for batch in batches[:-1]:
        width = padded_length(lengths[batch[0]], limit=64)
        assert (len(batch) + 1) * width > budget or len(batch) == max_rows


def tokens(row: int, ids: list[int], types: list[int]) -> Tokens:
    return Tokens(row, np.array(ids, np.int32), np.array(types, np.int8))


def test_pad_fills_on_the_right_and_masks_what_it_filled() -> None:
    arrays = pad([tokens(0, [5, 6, 7], [0, 0, 1]), tokens(1, [8], [0])], pad_id=9, length=4)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "input_ids": [[5, 6, 7, 9], [8, 9, 9, 9]],
        "attention_mask": [[1, 1, 1, 0], [1, 0, 0, 0]],
        "token_type_ids": [[0, 0, 1, 0], [0, 0, 0, 0]],
    }
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int64)}


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=12), min_size=1, max_size=8), st.integers(0, 9))
def test_padding_can_be_taken_off_again(rows: list[list[int]], more: int) -> None:
    arrays = pad([tokens(i, ids, [1] * len(ids)) for i, ids in enumerate(rows)], pad_id=0, length=12 + more)
    mask = arrays["attention_mask"].astype(bool)
    assert [ids[m].tolist() for ids, m in zip(arrays["input_ids"], mask, strict=True)] == rows
    np.testing.assert_array_equal(arrays["token_type_ids"], mask)


def test_a_row_longer_than_the_width_is_not_cut_in_silence() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        pad([tokens(0, [1, 2, 3], [0, 0, 0])], pad_id=0, length=2)


@given(LENGTHS, st.integers(1, 16), st.integers(0, 3), st.integers(0, 3), st.integers(1, 4))
def test_training_batches_are_a_permutation_that_can_be_repeated(
    lengths: list[int], batch_rows: int, seed: int, epoch: int, pool_batches: int
) -> None:
    batches = training_batches(lengths, batch_rows=batch_rows, seed=seed, epoch=epoch, pool_batches=pool_batches)
    assert sorted(int(i) for batch in batches for i in batch) == list(range(len(lengths)))
    sizes = sorted((len(batch) for batch in batches), reverse=True)
    assert all(size == batch_rows for size in sizes[:-1])
    again = training_batches(lengths, batch_rows=batch_rows, seed=seed, epoch=epoch, pool_batches=pool_batches)
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in batches]


def test_training_batches_differ_by_epoch_and_by_seed() -> None:
    lengths = [5 + i % 40 for i in range(100)]

    def order(seed: int, epoch: int) -> list[list[int]]:
        return [b.tolist() for b in training_batches(lengths, batch_rows=8, seed=seed, epoch=epoch)]

    orders = [order(0, 0), order(0, 1), order(1, 0), order(1, 1)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_training_batches_are_of_like_length_and_in_no_order_of_length() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(4, 512, 1600).tolist()
    batches = training_batches(lengths, batch_rows=16, seed=0, epoch=0)
    shuffled = np.array_split(random.permutation(1600), 100)

    def padding(batches: list[NDArray[np.int64]]) -> int:
        return sum(max(lengths[i] for i in batch) - lengths[j] for batch in batches for j in batch)

    assert padding(batches) < padding(shuffled) / 5
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest != sorted(longest)
    assert abs(float(np.corrcoef(longest, np.arange(len(longest)))[0, 1])) < 0.3
