"""What is measured of a variant: parity, stability, speed, the machine, and the certificate of them all."""

from limbeck.measure.bootstrap import Interval, paired_bootstrap
from limbeck.measure.certificate import (
    Certificate,
    Recheck,
    certify,
    compare_certificates,
    drop_points,
    proves_little,
)
from limbeck.measure.latency import SingleLatency, Speed, rows_per_second, single_ms
from limbeck.measure.machine import Machine, this_machine, usable_cpus
from limbeck.measure.parity import ChangedRow, Parity, Run, Stability, compare, row_differences, stability
from limbeck.measure.race import race

__all__ = [
    "Certificate",
    "ChangedRow",
    "Interval",
    "Machine",
    "Parity",
    "Recheck",
    "Run",
    "SingleLatency",
    "Speed",
    "Stability",
    "certify",
    "compare",
    "compare_certificates",
    "drop_points",
    "paired_bootstrap",
    "proves_little",
    "race",
    "row_differences",
    "rows_per_second",
    "single_ms",
    "stability",
    "this_machine",
    "usable_cpus",
]
