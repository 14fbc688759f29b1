"""How fast OpenVINO multiplies matrices on this CPU: what no model can pass."""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset15 as ops
from openvino import properties

from limbeck.engines.openvino_engine import COMPUTES_IN
from limbeck.measure import usable_cpus
from limbeck.measure.work import COLUMNS, DEPTH, ROWS, peak_of


def openvino_peak(precision: str) -> float:
    """Operations a second of a product in a variant's precision, with fp32 in and out."""
    random = np.random.default_rng(0)
    given = ops.parameter([ROWS, DEPTH], np.float32)
    if precision.startswith("int8"):
        weights = ops.constant(random.integers(-127, 128, (COLUMNS, DEPTH), dtype=np.int8))
        scaled = ops.multiply(ops.convert(weights, np.float32), np.float32(1 / 127))
        left = ops.fake_quantize(given, np.float32(-1), np.float32(1), np.float32(-1), np.float32(1), 256)
        product = ops.matmul(left, scaled, False, True)
    else:
        product = ops.matmul(given, ops.constant(random.random((COLUMNS, DEPTH), dtype=np.float32)), False, True)
    said = {
        properties.inference_num_threads: usable_cpus(),
        properties.hint.inference_precision: COMPUTES_IN[precision],
    }
    request = ov.Core().compile_model(ov.Model([product], [given]), "CPU", said).create_infer_request()
    left_values = random.random((ROWS, DEPTH), dtype=np.float32)
    return peak_of(lambda: request.infer({0: left_values}, share_inputs=True))
