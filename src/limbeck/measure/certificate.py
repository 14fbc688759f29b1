"""The certificate: all that was measured of one variant against the reference, on one machine.

A certificate holds finite numbers only, so that it survives JSON, which knows no infinity. A variant that
gives anything else cannot be certified at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from limbeck.errors import CheckFailed
from limbeck.measure.bootstrap import paired_bootstrap
from limbeck.measure.latency import Speed
from limbeck.measure.machine import Machine
from limbeck.measure.parity import ChangedRow, FloatArray, Parity, Predictions, Stability, compare

# 100 * (0.91 - 0.905) is 0.5000000000000004: rounding must not refuse a variant that just keeps its budget.
ROUNDING_POINTS = 1e-9
FEW_ROWS = 200  # below this one changed answer is more than the usual budget of half a point


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was measured of one variant on `rows` held-out rows.

    `reference` and `value` are the metric of the reference and of the variant, in the metric's own unit
    (an accuracy of 0.91; more is better). A point is a hundredth of it: `drop_points` is what the variant
    lost, `drop_low_points` and `drop_high_points` its confidence interval, and `holds` says whether
    `drop_points` is within the budget `max_drop_points`. `changed`, `worst`, `max_abs_logit` and
    `p99_abs_logit` are those of `Parity`. `data_sha256` names the rows, `created` is the time in UTC
    (ISO 8601), and `remedies` are the means that were needed to keep the budget, in words.
    """

    variant: str
    engine: str
    precision: str
    rows: int
    data_sha256: str
    metric: str
    reference: float
    value: float
    drop_points: float
    drop_low_points: float
    drop_high_points: float
    max_drop_points: float
    holds: bool
    changed: int
    worst: tuple[ChangedRow, ...]
    max_abs_logit: float
    p99_abs_logit: float
    stability: Stability
    speed: Speed
    size_bytes: int
    machine: Machine
    created: str
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recheck:
    """What a second measurement says of a certificate.

    A failure contradicts the certificate; a remark is worth knowing and contradicts nothing.
    """

    failures: tuple[str, ...]
    remarks: tuple[str, ...]


def drop_points(reference: float, value: float) -> float:
    """What was lost from `reference` to `value`, in points: hundredths of the metric, negative for a gain."""
    return 100 * (reference - value)


def certify(
    *,
    variant: str,
    engine: str,
    precision: str,
    reference_logits: FloatArray,
    logits: FloatArray,
    predictions: Predictions | None,
    reference_evidence: npt.NDArray[np.float64],
    evidence: npt.NDArray[np.float64],
    metric: Callable[[npt.NDArray[np.float64]], float],
    metric_name: str,
    max_drop_points: float,
    data_sha256: str,
    stability: Stability,
    speed: Speed,
    size_bytes: int,
    machine: Machine,
    name: Callable[[Any], str] = str,
    worst: int = 20,
    resamples: int = 1000,
    seed: int = 0,
    remedies: tuple[str, ...] = (),
) -> Certificate:
    """Measure a variant's logits against the reference's, both `[rows, ...]` of the same held-out rows.

    The evidence is what each row has to say on the metric, `[rows, n]`; `metric` takes any choice of such rows,
    repetitions included, and more must be better. `predictions` and `name` are those of `compare`. The variant
    holds if its drop, not the end of the drop's interval, is within `max_drop_points`.

    Raises:
        UsageError: there is no row, or the logits' shapes differ.
        CheckFailed: something measured is not a finite number, so that there is nothing to certify.

    """
    parity = compare(reference_logits, logits, predictions=predictions, name=name, worst=worst)
    reference = float(metric(reference_evidence))
    value = float(metric(evidence))
    _require_finite(variant, _measured(parity, stability, metric_name, reference, value))
    drop_interval = paired_bootstrap(
        lambda indices: (metric(reference_evidence[indices]), metric(evidence[indices])),
        parity.rows,
        resamples=resamples,
        seed=seed,
    )
    drop = drop_points(reference, value)
    return Certificate(
        variant=variant,
        engine=engine,
        precision=precision,
        rows=parity.rows,
        data_sha256=data_sha256,
        metric=metric_name,
        reference=reference,
        value=value,
        drop_points=drop,
        drop_low_points=100 * drop_interval.low,
        drop_high_points=100 * drop_interval.high,
        max_drop_points=max_drop_points,
        holds=_holds(drop, max_drop_points),
        changed=parity.changed,
        worst=parity.worst,
        max_abs_logit=parity.max_abs_logit,
        p99_abs_logit=parity.p99_abs_logit,
        stability=stability,
        speed=speed,
        size_bytes=size_bytes,
        machine=machine,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        remedies=remedies,
    )


def compare_certificates(old: Certificate, new: Certificate) -> Recheck:
    """Hold a new measurement of a variant against its stored certificate `old`, by the budget of `old`."""
    failures = [
        f"the {what} is {is_now!r}, the certificate is for {was!r}"
        for what, was, is_now in (
            ("variant", old.variant, new.variant),
            ("engine", old.engine, new.engine),
            ("precision", old.precision, new.precision),
            ("metric", old.metric, new.metric),
        )
        if was != is_now
    ]
    if not _holds(new.drop_points, old.max_drop_points):
        failures.append(
            f"{new.metric} fell by {new.drop_points:.2f} points, from {new.reference:.4f} to {new.value:.4f}: "
            f"more than the {old.max_drop_points:g} points allowed (the certificate says {old.drop_points:.2f})"
        )
    remarks = [*_data_remarks(old, new), *_machine_remarks(old, new), *proves_little(new)]
    return Recheck(failures=tuple(failures), remarks=tuple(remarks))


def proves_little(found: Certificate) -> list[str]:
    """Why a certificate that holds says less than it seems to: few rows, or a reference that had nothing to lose."""
    remarks = []
    if found.rows < FEW_ROWS:
        remarks.append(f"{found.rows} rows prove little either way: judge by {FEW_ROWS} or more")
    if found.reference <= 0:
        remarks.append(f"the reference itself has {found.metric} {found.reference:.4f}: there was nothing to lose")
    return remarks


def _data_remarks(old: Certificate, new: Certificate) -> list[str]:
    if old.data_sha256 != new.data_sha256:
        return [f"measured on other rows than the certificate: {new.rows} now, {old.rows} then"]
    remarks = []
    if (old.reference, old.value) != (new.reference, new.value):
        remarks.append(
            f"on the same rows, {old.metric} of the reference and the variant was "
            f"{old.reference:.4f} and {old.value:.4f}, is now {new.reference:.4f} and {new.value:.4f}"
        )
    if old.changed != new.changed:
        remarks.append(f"on the same rows, {old.changed} predictions were changed, now {new.changed}")
    return remarks


def _machine_remarks(old: Certificate, new: Certificate) -> list[str]:
    remarks = []
    if old.machine.cpu != new.machine.cpu:
        remarks.append(f"measured on {new.machine.cpu}, the certificate on {old.machine.cpu}")
    then, now = set(old.machine.instruction_sets), set(new.machine.instruction_sets)
    if lost := sorted(then - now):
        remarks.append(f"this machine lacks {', '.join(lost)}, which the certificate's had")
    if gained := sorted(now - then):
        remarks.append(f"this machine has {', '.join(gained)}, which the certificate's had not")
    return remarks


def _holds(drop: float, max_drop_points: float) -> bool:
    return drop <= max_drop_points + ROUNDING_POINTS


def _measured(
    parity: Parity, stability: Stability, metric_name: str, reference: float, value: float
) -> dict[str, float]:
    return {
        f"{metric_name} of the reference": reference,
        f"{metric_name} of the variant": value,
        "the largest logit difference from the reference": parity.max_abs_logit,
        "the largest logit difference among batch-mates": stability.batch_max_abs_logit,
        "the largest logit difference with padding": stability.padding_max_abs_logit,
    }


def _require_finite(variant: str, measured: Mapping[str, float]) -> None:
    wrong = [f"{what} is {number}" for what, number in measured.items() if not math.isfinite(number)]
    if wrong:
        raise CheckFailed(
            f"variant {variant!r} cannot be certified: {'; '.join(wrong)}. "
            "Its logits, or the reference's, are not finite numbers on every row: compile it another way"
        )
