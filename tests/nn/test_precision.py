from __future__ import annotations

import pytest
import torch

from limbeck.nn.precision import Precision, PrecisionChoice, autocast, measure_precision


class Clock:
    """A clock that only a step moves; each call of a precision takes the next of its milliseconds."""

    def __init__(self, fp32: list[float], bf16: list[float]) -> None:
        self.now = 0.0
        self.left: dict[Precision, list[float]] = {"fp32": list(fp32), "bf16": list(bf16)}

    def __call__(self) -> float:
        return self.now

    def step(self, precision: Precision) -> None:
        self.now += self.left[precision].pop(0) / 1000


def measured(fp32: list[float], bf16: list[float]) -> PrecisionChoice:
    clock = Clock(fp32, bf16)
    choice = measure_precision(clock.step, repeats=max(1, len(fp32) - 1), clock=clock)
    assert clock.left == {"fp32": [], "bf16": []}
    return choice


@pytest.mark.parametrize(
    ("bf16_ms", "wanted"), [(50.0, "bf16"), (90.0, "bf16"), (95.0, "fp32"), (100.0, "fp32"), (300.0, "fp32")]
)
def test_bf16_must_be_a_tenth_faster(bf16_ms: float, wanted: Precision) -> None:
    choice = measured([100.0] * 6, [bf16_ms] * 6)
    assert choice.precision == wanted
    assert (choice.fp32_ms, choice.bf16_ms) == pytest.approx((100.0, bf16_ms))


def test_the_first_step_only_warms_up_and_one_slow_step_decides_nothing() -> None:
    choice = measured([9000.0, 10, 10, 10, 10, 10], [9000.0, 20, 20, 20, 1, 1])
    assert choice.precision == "fp32"
    assert (choice.fp32_ms, choice.bf16_ms) == pytest.approx((10.0, 20.0))
    assert measured([5.0, 10, 10, 900], [5.0, 10, 10, 1]).precision == "fp32"
    assert measured([9.0, 10, 10, 10], [900.0, 5, 500, 5]).precision == "bf16"


def test_what_is_hopeless_is_not_measured_again() -> None:
    choice = measured([600.0], [15000.0])
    assert (choice.precision, choice.fp32_ms, choice.bf16_ms) == ("fp32", pytest.approx(600.0), pytest.approx(15000.0))


def test_the_random_state_is_left_as_it_was() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    clock = Clock([1.0] * 3, [1.0] * 3)

    def step(precision: Precision) -> None:
        torch.rand(7)
        clock.step(precision)

    measure_precision(step, repeats=2, clock=clock)
    assert torch.equal(torch.get_rng_state(), before)


def test_autocast_computes_in_the_precision_named() -> None:
    device, ones = torch.device("cpu"), torch.ones(2, 2)
    with autocast("bf16", device):
        assert (ones @ ones).dtype == torch.bfloat16
    with autocast("fp32", device):
        assert (ones @ ones).dtype == torch.float32
