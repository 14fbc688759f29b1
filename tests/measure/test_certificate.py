from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import CheckFailed, UsageError
from limbeck.measure import (
    Certificate,
    Machine,
    Recheck,
    Speed,
    Stability,
    certify,
    compare_certificates,
    drop_points,
    proves_little,
)
from limbeck.measure.parity import FloatArray

ROWS = 200
GOLD = np.arange(ROWS) % 2
REFERENCE = np.stack([1.0 - 2.0 * GOLD, np.zeros(ROWS)], axis=1)  # all right
MACHINE = Machine(
    cpu="AMD EPYC", instruction_sets=("avx2", "avx512_vnni"), cpus=2.0, system="Linux x86_64", memory_bytes=1
)
STABILITY = Stability(rows=64, batch_max_abs_logit=0.1, batch_changed=1, padding_max_abs_logit=0.0, padding_changed=0)
SPEED = Speed(rows_per_second=367.0, single_ms=2.7, single_p95_ms=3.0, rows=ROWS)


def argmax(logits: FloatArray) -> Any:
    return logits.argmax(axis=-1)


def right(logits: FloatArray) -> FloatArray:
    return np.equal(argmax(logits), GOLD[: len(logits)])[:, None].astype(np.float64)


def accuracy(evidence: FloatArray) -> float:
    return float(evidence.mean())


def with_wrong_rows(count: int) -> FloatArray:
    logits = REFERENCE.copy()
    logits[:count, 0] *= -1
    return logits


def certified(logits: FloatArray, **changes: Any) -> Certificate:
    arguments: dict[str, Any] = {
        "variant": "onnx-int8",
        "engine": "onnxruntime",
        "precision": "int8",
        "reference_logits": REFERENCE,
        "logits": logits,
        "reference_evidence": right(changes.get("reference_logits", REFERENCE)),
        "evidence": right(logits),
        "predictions": argmax,
        "metric": accuracy,
        "metric_name": "accuracy",
        "max_drop_points": 0.5,
        "data_sha256": "ab" * 32,
        "stability": STABILITY,
        "speed": SPEED,
        "size_bytes": 1234,
        "machine": MACHINE,
        "name": ["negative", "positive"].__getitem__,
        "resamples": 200,
    }
    return certify(**{**arguments, **changes})


def test_an_equal_variant() -> None:
    certificate = certified(REFERENCE)
    assert (certificate.reference, certificate.value) == (1.0, 1.0)
    assert (certificate.drop_points, certificate.drop_low_points, certificate.drop_high_points) == (0, 0, 0)
    assert certificate.holds
    assert (certificate.changed, certificate.worst) == (0, ())
    assert certificate.rows == ROWS
    assert datetime.fromisoformat(certificate.created).utcoffset() is not None


def test_a_variant_over_its_budget_is_not_held() -> None:
    certificate = certified(with_wrong_rows(4), worst=3)
    assert certificate.value == pytest.approx(0.98)
    assert certificate.drop_points == pytest.approx(2.0)
    assert 0 <= certificate.drop_low_points <= 2.0 <= certificate.drop_high_points <= 6.0
    assert not certificate.holds
    assert certificate.changed == 4
    assert [row.row for row in certificate.worst] == [0, 1, 2]
    assert (certificate.worst[0].reference, certificate.worst[0].variant) == ("negative", "positive")
    assert certificate.max_abs_logit == 2.0


def test_a_drop_as_large_as_the_budget_holds() -> None:
    assert drop_points(0.91, 0.905) > 0.5  # by rounding alone
    assert certified(with_wrong_rows(1)).holds

    def rounding(evidence: FloatArray) -> float:
        return 0.91 if evidence.all() else 0.905

    assert certified(with_wrong_rows(1), metric=rounding, resamples=1).holds


def test_a_gain_is_a_negative_drop() -> None:
    certificate = certified(REFERENCE, reference_logits=with_wrong_rows(10))
    assert certificate.drop_points == pytest.approx(-5.0)
    assert certificate.holds


def test_survives_json() -> None:
    certificate = certified(with_wrong_rows(4), remedies=("layer 3 kept in fp32",))
    assert msgspec.json.decode(msgspec.json.encode(certificate), type=Certificate) == certificate


def test_not_a_number_is_never_certified() -> None:
    logits = REFERENCE.copy()
    logits[5, 1] = np.nan
    with pytest.raises(CheckFailed, match=r"'onnx-int8'.*largest logit difference from the reference is inf"):
        certified(logits)


@pytest.mark.parametrize(
    "unbounded",
    [replace(STABILITY, batch_max_abs_logit=np.inf), replace(STABILITY, padding_max_abs_logit=np.inf)],
)
def test_an_unbounded_movement_is_never_certified(unbounded: Stability) -> None:
    with pytest.raises(CheckFailed, match="largest logit difference"):
        certified(REFERENCE, stability=unbounded)


def test_an_undefined_metric_is_never_certified() -> None:
    with pytest.raises(CheckFailed, match="accuracy of the reference is nan"):
        certified(REFERENCE, metric=lambda evidence: float("nan"))


def test_logits_of_other_rows() -> None:
    with pytest.raises(UsageError, match="one shape"):
        certified(REFERENCE[:-1])


@given(st.integers(0, ROWS), st.floats(0, 100))
def test_holds_means_within_the_budget(wrong: int, budget: float) -> None:
    certificate = certified(with_wrong_rows(wrong), max_drop_points=budget, resamples=5)
    assert certificate.changed == wrong
    assert certificate.holds == (certificate.drop_points <= budget + 1e-9)


def test_the_same_again() -> None:
    certificate = certified(REFERENCE)
    assert compare_certificates(certificate, certificate) == Recheck(failures=(), remarks=())


def test_the_stored_budget_counts() -> None:
    old = certified(REFERENCE)
    new = certified(with_wrong_rows(4), max_drop_points=50.0)
    assert new.holds
    recheck = compare_certificates(old, new)
    assert recheck.failures == (
        "accuracy fell by 2.00 points, from 1.0000 to 0.9800: "
        "more than the 0.5 points allowed (the certificate says 0.00)",
    )
    assert len(recheck.remarks) == 2  # the metric moved, and the changed predictions


def test_another_variant_is_a_failure() -> None:
    old = certified(REFERENCE)
    recheck = compare_certificates(old, replace(old, engine="openvino", metric="f1"))
    assert recheck.failures == (
        "the engine is 'openvino', the certificate is for 'onnxruntime'",
        "the metric is 'f1', the certificate is for 'accuracy'",
    )


def test_another_machine_is_a_remark() -> None:
    old = certified(REFERENCE)
    machine = replace(MACHINE, cpu="Intel Xeon", instruction_sets=("avx2", "amx_int8"))
    assert compare_certificates(old, replace(old, machine=machine)) == Recheck(
        failures=(),
        remarks=(
            "measured on Intel Xeon, the certificate on AMD EPYC",
            "this machine lacks avx512_vnni, which the certificate's had",
            "this machine has amx_int8, which the certificate's had not",
        ),
    )


def test_other_rows_are_a_remark() -> None:
    old = certified(REFERENCE)
    recheck = compare_certificates(old, replace(old, data_sha256="cd" * 32, value=0.999, rows=50))
    assert recheck.failures == ()
    assert recheck.remarks == (
        "measured on other rows than the certificate: 50 now, 200 then",
        "50 rows prove little either way: judge by 200 or more",
    )


def test_a_reference_that_is_wrong_throughout_is_a_remark() -> None:
    found = certified(REFERENCE)
    assert proves_little(found) == []
    nothing = replace(found, rows=30, reference=0.0, value=0.0, drop_points=0.0)
    assert proves_little(nothing) == [
        "30 rows prove little either way: judge by 200 or more",
        "the reference itself has accuracy 0.0000: there was nothing to lose",
    ]
