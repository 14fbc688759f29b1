from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from limbeck.errors import UsageError
from limbeck.measure import ChangedRow, Parity, Stability, compare, row_differences, stability
from limbeck.measure.parity import FloatArray

REFERENCE = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.5], [4.0, 0.0]], dtype=np.float32)
VARIANT = np.array([[2.0, 1.5], [2.0, 1.0], [1.0, 1.25], [4.0, 0.0]], dtype=np.float32)


def argmax(logits: FloatArray) -> Any:
    return logits.argmax(axis=-1)


def test_compare_by_hand() -> None:
    parity = compare(REFERENCE, VARIANT, predictions=argmax, name=lambda label: f"label {label}")
    assert parity == Parity(
        rows=4,
        max_abs_logit=2.0,
        p99_abs_logit=2.0,
        changed=2,
        worst=(
            ChangedRow(row=1, reference="label 1", variant="label 0", max_abs_logit=2.0),
            ChangedRow(row=2, reference="label 0", variant="label 1", max_abs_logit=0.75),
        ),
    )
    assert msgspec.json.decode(msgspec.json.encode(parity), type=Parity) == parity


def test_only_the_worst_are_kept() -> None:
    parity = compare(REFERENCE, VARIANT, predictions=argmax, worst=1)
    assert parity.changed == 2
    assert [row.row for row in parity.worst] == [1]


def test_p99_is_over_rows() -> None:
    reference = np.zeros((200, 2))
    variant = reference.copy()
    variant[7, 0] = 5.0
    parity = compare(reference, variant, predictions=None)
    assert (parity.max_abs_logit, parity.p99_abs_logit) == (5.0, 0.0)


def test_rows_of_booleans_and_tuples() -> None:
    as_rows = compare(REFERENCE, VARIANT, predictions=lambda logits: logits > 1.2)
    as_tuples = compare(
        REFERENCE, VARIANT, predictions=lambda logits: [tuple(np.flatnonzero(row > 1.2)) for row in logits]
    )
    assert as_rows.changed == as_tuples.changed == 3
    assert as_rows.worst[0].reference == "[False, True]"


@pytest.mark.parametrize("predictions", [None, lambda _: None, lambda logits: [None] * len(logits)])
def test_without_predictions_nothing_changes(predictions: Any) -> None:
    parity = compare(REFERENCE, VARIANT, predictions=predictions)
    assert parity.changed == 0
    assert parity.max_abs_logit == 2.0


@pytest.mark.parametrize("side", [0, 1])
def test_not_a_number_is_never_ignored(side: int) -> None:
    pair = [REFERENCE.copy(), REFERENCE.copy()]
    pair[side][3, 0] = np.nan  # argmax says 0 both times
    parity = compare(pair[0], pair[1], predictions=argmax)
    assert parity.max_abs_logit == np.inf
    assert parity.changed == 1
    assert parity.worst[0].row == 3


def test_equal_infinities_do_not_differ() -> None:
    one = np.array([[-np.inf, 1.0], [-np.inf, 1.0]])
    other = np.array([[-np.inf, 1.0], [0.0, 1.0]])
    assert row_differences(one, other).tolist() == [0.0, np.inf]


def test_more_than_two_axes() -> None:
    one = np.zeros((2, 3, 4))
    other = one.copy()
    other[1, 2, 3] = -2.0
    assert row_differences(one, other).tolist() == [0.0, 2.0]


@pytest.mark.parametrize("shape", [(4, 3), (3, 2), (4,)])
def test_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="one shape"):
        compare(REFERENCE, np.zeros(shape), predictions=argmax)


def test_no_rows() -> None:
    with pytest.raises(UsageError, match="at least one row"):
        compare(np.zeros((0, 2)), np.zeros((0, 2)), predictions=argmax)


def test_a_prediction_too_few() -> None:
    with pytest.raises(UsageError, match="got 1 for 4 rows"):
        compare(REFERENCE, VARIANT, predictions=lambda _: [0])


@given(hnp.arrays(np.float32, (6, 3)))
def test_a_model_against_itself(logits: FloatArray) -> None:
    parity = compare(logits, logits.copy(), predictions=argmax)
    wrong = int(np.isnan(logits).any(axis=1).sum())
    assert parity.changed == wrong
    assert parity.max_abs_logit == (np.inf if wrong else 0.0)


@given(hnp.arrays(np.float64, (5, 2), elements=st.floats(-1e6, 1e6)), st.integers(0, 3))
def test_worst_is_sorted_and_bounded(variant: FloatArray, worst: int) -> None:
    parity = compare(np.zeros((5, 2)), variant, predictions=argmax, worst=worst)
    differences = [row.max_abs_logit for row in parity.worst]
    assert differences == sorted(differences, reverse=True)
    assert len(differences) == min(worst, parity.changed)
    assert parity.p99_abs_logit <= parity.max_abs_logit


Row = list[int]
ROWS = [[number, *range(number % 7 + 1)] for number in range(100)]
LENGTHS = [len(row) for row in ROWS]


class Model:
    """Logits from a row's first token, moved by `by_batch` in company and `by_padding` when padded alone."""

    def __init__(self, by_batch: float = 0.0, by_padding: float = 0.0) -> None:
        self.by_batch = by_batch
        self.by_padding = by_padding
        self.calls: list[tuple[list[Row], int | None]] = []

    def __call__(self, rows: Sequence[Row], *, pad_to: int | None) -> FloatArray:
        self.calls.append((list(rows), pad_to))
        logits = np.array([[row[0] / 100, 0.5] for row in rows])
        logits[:, 0] += self.by_batch * (len(rows) > 1) + self.by_padding * (pad_to is not None)
        return logits


def measure(model: Model, **changes: Any) -> Stability:
    arguments: dict[str, Any] = {"predictions": argmax, "max_length": 12, **changes}
    return stability(model, ROWS, LENGTHS, **arguments)


def test_a_stable_model() -> None:
    found = measure(Model())
    assert found == Stability(
        rows=64, batch_max_abs_logit=0.0, batch_changed=0, padding_max_abs_logit=0.0, padding_changed=0
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=Stability) == found


def test_batch_mates_and_padding_are_told_apart() -> None:
    found = measure(Model(by_batch=0.25), sample=100)
    assert found.batch_max_abs_logit == pytest.approx(0.25)
    assert found.batch_changed == 25  # first tokens 26 to 50 pass 0.5 with 0.25 more
    assert (found.padding_max_abs_logit, found.padding_changed) == (0.0, 0)

    found = measure(Model(by_padding=-0.1), sample=100)
    assert found.padding_max_abs_logit == pytest.approx(0.1)
    assert found.padding_changed == 10
    assert (found.batch_max_abs_logit, found.batch_changed) == (0.0, 0)


def test_what_is_run() -> None:
    model = Model()
    measure(model, sample=40, max_length=8, trials=5)
    alone = [rows[0] for rows, pad_to in model.calls[:40] if pad_to is None and len(rows) == 1]
    assert len(alone) == 40
    assert {len(rows) for rows, _ in model.calls} >= {1, 2, 4, 8, 16, 32}
    padded = [(rows, pad_to) for rows, pad_to in model.calls if pad_to is not None]
    assert all(len(rows) == 1 and len(rows[0]) < pad_to <= 8 for rows, pad_to in padded)
    assert all(row in alone for rows, _ in model.calls for row in rows)


def test_rows_at_the_limit_are_not_padded() -> None:
    model = Model(by_padding=9.0)
    assert measure(model, max_length=1).padding_max_abs_logit == 0.0
    assert all(pad_to is None for _, pad_to in model.calls)


def test_the_seed_decides_the_sample() -> None:
    first, again, other = Model(), Model(), Model()
    measure(first, sample=10)
    measure(again, sample=10)
    measure(other, sample=10, seed=1)
    assert first.calls == again.calls
    assert first.calls != other.calls


def test_one_row_is_enough() -> None:
    assert stability(Model(), [[3, 1]], [2], predictions=None, max_length=8).rows == 1


def test_not_a_number_in_a_batch() -> None:
    assert measure(Model(by_batch=np.nan)).batch_changed == 64


@pytest.mark.parametrize("wrong", [{"rows": []}, {"lengths": [1]}, {"sample": 0}, {"trials": 0}])
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    arguments = {"rows": ROWS, "lengths": LENGTHS, "predictions": argmax, "max_length": 8, **wrong}
    with pytest.raises(UsageError):
        stability(Model(), **arguments)


def test_logits_of_changing_width() -> None:
    def by_length(rows: Sequence[Row], *, pad_to: int | None) -> FloatArray:
        return np.zeros((len(rows), pad_to or max(map(len, rows))))

    with pytest.raises(UsageError, match="one width"):
        stability(by_length, ROWS, LENGTHS, predictions=argmax, max_length=8)
