from __future__ import annotations

import pytest

from limbeck.distillation.shapes import Shape, parse_shape
from limbeck.errors import UsageError

BERT = Shape(12, 768, 12, 3072)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tinybert-4", Shape(4, 312, 12, 1200)),
        ("tinybert-6", Shape(6, 768, 12, 3072)),
        ("L3", Shape(3, 768, 12, 3072)),
        ("3x384", Shape(3, 384, 12, 1536)),
        ("2x128", Shape(2, 128, 8, 512)),
        ("2x128x2", Shape(2, 128, 2, 512)),
        ("2x128x2x100", Shape(2, 128, 2, 100)),
    ],
)
def test_shapes(text: str, wanted: Shape) -> None:
    assert parse_shape(text, BERT) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("small", "expected tinybert-4, tinybert-6, L3"),
        ("L13", "expected at most 12"),
        ("L0", "sizes of 1 or more"),
        ("3x0", "sizes of 1 or more"),
        ("3x100x3", "3 heads do not divide the width 100"),
    ],
)
def test_no_shapes(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_shape(text, BERT)
