"""How far a variant's answers lie from the reference's, and from its own in other company.

`compare` sets two models side by side on the same rows. `stability` sets one model beside itself: a row
alone, among other rows, and with padding after it. Where int8 activations have one scale a tensor, the
company a row is in changes its answer (onnxruntime #10111).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from limbeck.errors import UsageError

FloatArray = npt.NDArray[np.floating[Any]]

Predictions = Callable[[FloatArray], Sequence[object] | npt.NDArray[Any] | None]
"""Logits `[rows, ...]` to one prediction a row, row by row independently, compared with `==`.

A class index, a tuple of label indices, a row of booleans. None in place of them all (regression): there
is nothing that could change but the number itself.
"""

# Sizes of batches and lengths of padding that `stability` goes through, one after another.
BATCH_SIZES = (2, 32, 8, 4, 16)
EXTRA_PADDING = (1, 64, 8, 3, 24)

T_contra = TypeVar("T_contra", contravariant=True)
T = TypeVar("T")


class Run(Protocol[T_contra]):
    """Runs tokenised rows as one batch, padded to `pad_to` tokens or, if None, to the longest row.

    Returns logits `[len(rows), n]`. `n` must not depend on the padding: a task with logits for every token
    fills the places after a row's own tokens with a constant, up to one width for all rows.
    """

    def __call__(self, rows: Sequence[T_contra], *, pad_to: int | None) -> FloatArray:
        """Logits `[len(rows), n]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedRow:
    """One row to which the variant gives another prediction than the reference."""

    row: int
    reference: str
    variant: str
    max_abs_logit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far a variant lies from the reference on `rows` rows.

    The difference of a row is its largest absolute difference of a logit: `max_abs_logit` is the largest
    over the rows, `p99_abs_logit` their 99th percentile. `changed` counts the rows with another prediction;
    `worst` holds those of them with the largest differences, largest first.
    """

    rows: int
    max_abs_logit: float
    p99_abs_logit: float
    changed: int
    worst: tuple[ChangedRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """How far a row's answer moves with its batch-mates and its padding, on `rows` sampled rows.

    The baseline is each row alone and unpadded. `..._max_abs_logit` is the largest difference from it in any
    trial, `..._changed` the number of rows whose prediction changed in at least one trial.
    """

    rows: int
    batch_max_abs_logit: float
    batch_changed: int
    padding_max_abs_logit: float
    padding_changed: int


def compare(
    reference: FloatArray,
    variant: FloatArray,
    *,
    predictions: Predictions | None,
    name: Callable[[Any], str] = str,
    worst: int = 20,
) -> Parity:
    """Compare the logits of two models, both `[rows, ...]`, on the same rows in the same order.

    `predictions` makes predictions of logits (None: only numbers are compared), `name` makes one prediction
    readable, `worst` is how many changed rows are kept.

    A row with a logit that is not a number, in either model, differs by infinity and counts as changed: it
    is no answer, whatever prediction comes of it. Infinities that are equal in both do not differ.

    Raises:
        UsageError: there is no row, the shapes differ, or there is not one prediction a row.

    """
    differences = row_differences(reference, variant)
    before = _predicted(predictions, reference)
    after = _predicted(predictions, variant)
    changed = np.flatnonzero(_changed(before, after) | np.isinf(differences))
    # Stable, so that rows of equal difference stay in file order.
    order = changed[np.argsort(-differences[changed], kind="stable")][:worst]
    return Parity(
        rows=len(differences),
        max_abs_logit=float(differences.max()),
        # "higher" is a difference that occurred, and needs no sum with infinity.
        p99_abs_logit=float(np.quantile(differences, 0.99, method="higher")),
        changed=len(changed),
        worst=tuple(
            ChangedRow(
                row=int(row),
                reference=name(before[row]),
                variant=name(after[row]),
                max_abs_logit=float(differences[row]),
            )
            for row in order
        ),
    )


def row_differences(reference: FloatArray, variant: FloatArray) -> npt.NDArray[np.float64]:
    """The largest absolute difference of a logit in each row, `[rows]`; infinity where one is not a number.

    Raises:
        UsageError: there is no row, or the shapes differ.

    """
    if reference.shape != variant.shape:
        raise UsageError(f"logits of one shape were expected, got {reference.shape} and {variant.shape}")
    if reference.ndim < 2 or reference.size == 0:
        raise UsageError(f"logits [rows, n] with at least one row were expected, got {reference.shape}")
    one = reference.reshape(len(reference), -1).astype(np.float64)
    other = variant.reshape(len(variant), -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        differences = np.abs(one - other)
    differences[one == other] = 0.0
    differences[np.isnan(differences)] = np.inf
    return np.asarray(differences.max(axis=1), dtype=np.float64)


def stability(
    run: Run[T],
    rows: Sequence[T],
    lengths: Sequence[int],
    *,
    predictions: Predictions | None,
    max_length: int,
    sample: int = 64,
    trials: int = 5,
    seed: int = 0,
) -> Stability:
    """Run a sample of rows in different company and compare each row with itself alone.

    `lengths` gives the tokens of each row, `max_length` the most the model reads. Each trial deals the
    sampled rows anew into batches of one size (2 to 32; a batch is padded to its longest row, as in
    production), and pads each row alone to one length (1 to 64 tokens more, never beyond `max_length`).
    A row that is already that long has no padding to be moved by.

    Raises:
        UsageError: there is no row, not one length a row, or `run` gives logits of changing width.

    """
    if len(rows) < 1 or len(rows) != len(lengths) or sample < 1 or trials < 1:
        raise UsageError(
            "stability needs rows with one length each, a sample and a trial, got "
            f"{len(rows)} rows, {len(lengths)} lengths, a sample of {sample} and {trials} trials"
        )
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.choice(len(rows), size=min(sample, len(rows)), replace=False))
    sampled = [rows[index] for index in chosen]
    sampled_lengths = [lengths[index] for index in chosen]
    alone = _stacked([run([row], pad_to=None) for row in sampled])
    batch = _Movement(alone, predictions)
    padding = _Movement(alone, predictions)
    for trial in range(trials):
        order = generator.permutation(len(sampled))
        batch.add(_in_batches(run, sampled, order, BATCH_SIZES[trial % len(BATCH_SIZES)]))
        extra = EXTRA_PADDING[trial % len(EXTRA_PADDING)]
        targets = [min(length + extra, max_length) for length in sampled_lengths]
        padding.add(_padded(run, sampled, sampled_lengths, targets, alone))
    return Stability(
        rows=len(sampled),
        batch_max_abs_logit=batch.max_abs_logit,
        batch_changed=batch.changed,
        padding_max_abs_logit=padding.max_abs_logit,
        padding_changed=padding.changed,
    )


class _Movement:
    """The largest movement from a baseline over several trials."""

    def __init__(self, baseline: FloatArray, predictions: Predictions | None) -> None:
        self._baseline = baseline
        self._predictions = predictions
        self._predicted = _predicted(predictions, baseline)
        self._moved = np.zeros(len(baseline), dtype=np.bool_)
        self.max_abs_logit = 0.0

    @property
    def changed(self) -> int:
        """The number of rows whose prediction changed in at least one trial."""
        return int(self._moved.sum())

    def add(self, logits: FloatArray) -> None:
        """Take the logits of one more trial, `[rows, n]`."""
        differences = row_differences(self._baseline, logits)
        self.max_abs_logit = max(self.max_abs_logit, float(differences.max()))
        self._moved |= _changed(self._predicted, _predicted(self._predictions, logits)) | np.isinf(differences)


def _in_batches(run: Run[T], rows: Sequence[T], order: npt.NDArray[np.int64], size: int) -> FloatArray:
    """Logits `[rows, n]` in the order of `rows`, run in the given order in batches of `size`."""
    starts = range(0, len(order), size)
    parts = [run([rows[index] for index in order[start : start + size]], pad_to=None) for start in starts]
    return _stacked(parts)[np.argsort(order)]


def _padded(
    run: Run[T], rows: Sequence[T], lengths: Sequence[int], targets: Sequence[int], alone: FloatArray
) -> FloatArray:
    """Logits `[rows, n]` of each row alone, padded to its target where that is longer than the row."""
    parts = [
        run([row], pad_to=target) if target > length else alone[index : index + 1]
        for index, (row, length, target) in enumerate(zip(rows, lengths, targets, strict=True))
    ]
    return _stacked(parts)


def _stacked(parts: Sequence[FloatArray]) -> FloatArray:
    widths = sorted({part.shape[1:] for part in parts})
    if len(widths) > 1:
        raise UsageError(f"logits of one width were expected whatever the padding, got {widths}")
    return np.concatenate(parts)


def _predicted(predictions: Predictions | None, logits: FloatArray) -> list[object]:
    """One prediction a row as a plain Python object, so that `==` gives one truth value."""
    values = predictions(logits) if predictions is not None else None
    if values is None:
        return [None] * len(logits)
    if len(values) != len(logits):
        raise UsageError(f"one prediction a row was expected, got {len(values)} for {len(logits)} rows")
    return [value.tolist() if isinstance(value, np.ndarray | np.generic) else value for value in values]


def _changed(before: list[object], after: list[object]) -> npt.NDArray[np.bool_]:
    return np.array([one != other for one, other in zip(before, after, strict=True)], dtype=np.bool_)
