from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from limbeck.engines.base import Arrays
from limbeck.errors import CheckFailed
from limbeck.text import Tokens
from limbeck.training.kept import Kept, forget_unused, keep, kept_file

LENGTHS = (3, 7, 5)
ROWS = [Tokens(row, np.arange(n, dtype=np.int32) + 10 * row, np.zeros(n, np.int8)) for row, n in enumerate(LENGTHS)]


class Ids:
    """Answers each token with its id and its negative, or each row with its first token's; counts the rows."""

    def __init__(self, *, of_tokens: bool, nothing: bool = False) -> None:
        self.of_tokens, self.nothing, self.rows = of_tokens, nothing, 0

    def run(self, inputs: Arrays) -> NDArray[np.float32]:
        ids = inputs["input_ids"].astype(np.float32)
        self.rows += len(ids)
        found = np.stack([ids, np.nan * ids if self.nothing else -ids], axis=-1)
        return found if self.of_tokens else found[:, 0]


def kept(path: Path, engine: Ids) -> Kept:
    return keep(path, lambda: engine, ROWS, 2, of_tokens=engine.of_tokens, pad_id=99, on_batch=lambda rows: None)


@pytest.mark.parametrize("of_tokens", [False, True])
def test_what_is_kept_is_computed_once(tmp_path: Path, of_tokens: bool) -> None:
    engine = Ids(of_tokens=of_tokens)
    for _ in range(2):
        found = kept(tmp_path / "kept.npy", engine)
        assert len(found) == 3
        assert found.values.shape == ((15, 2) if of_tokens else (3, 2))
    assert engine.rows == 3


def test_progress_counts_tokens_since_the_longest_rows_come_first(tmp_path: Path) -> None:
    told = list[int]()
    engine = Ids(of_tokens=True)
    keep(tmp_path / "kept.npy", lambda: engine, ROWS, 2, of_tokens=True, pad_id=99, on_batch=told.append)
    assert sum(told) == sum(LENGTHS)


def test_tokens_are_read_up_to_a_length_and_nothing_behind_them(tmp_path: Path) -> None:
    found = kept(tmp_path / "kept.npy", Ids(of_tokens=True)).read(np.array([2, 0]), 6)
    np.testing.assert_array_equal(found[..., 0], [[20, 21, 22, 23, 24, 0], [0, 1, 2, 0, 0, 0]])
    np.testing.assert_array_equal(found[..., 1], -found[..., 0])


def test_rows_are_read_in_any_order(tmp_path: Path) -> None:
    found = kept(tmp_path / "kept.npy", Ids(of_tokens=False)).read(np.array([2, 0, 2]), 6)
    np.testing.assert_array_equal(found[:, 0], [20, 0, 20])


def test_what_is_no_number_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="no finite numbers"):
        kept(tmp_path / "kept.npy", Ids(of_tokens=True, nothing=True))
    assert not list(tmp_path.iterdir())


def test_what_nothing_has_asked_for_in_a_long_time_makes_room(tmp_path: Path) -> None:
    for name in ("old", "used"):
        kept(tmp_path / f"{name}.npy", Ids(of_tokens=False))
    (tmp_path / ".killed.npy.7.partial").touch()
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    kept(tmp_path / "used.npy", Ids(of_tokens=False))
    forget_unused(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"used.npy"}


def test_the_file_is_another_for_other_rows_and_makers() -> None:
    made = [("answers", "a", ROWS), ("states", "a", ROWS), ("answers", "b", ROWS), ("answers", "a", ROWS[:2])]
    names = {kept_file(what, (by,), rows) for what, by, rows in [*made, *made]}
    assert len(names) == 4
