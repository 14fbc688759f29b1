from __future__ import annotations

from limbeck.data.sampling import evenly


def test_a_part_is_spread_over_all() -> None:
    assert evenly(range(10), 5) == [0, 2, 4, 6, 8]
    assert evenly(range(7), 3) == [0, 2, 4]
    assert evenly("ab", 3) == ["a", "b"]
    assert evenly([], 3) == []
