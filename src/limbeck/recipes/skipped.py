"""Rows that are left out: their files are put in place only once the run that leaves them out is one that goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def skipped_rows(place: Path | None) -> Iterator[Path | None]:
    """Where to write bad rows to, so that they come to lie at `place`; None for None, where none is to be left out.

    What was written there, and under other names in the same folder, is moved beside `place` when the block ends well.
    When it does not, nothing is left of it, and a file that was at `place` before stays as it was.
    """
    if place is None:
        yield None
        return
    # Of a name that no other process has, even on another machine; made by who writes to it.
    beside = place.with_name(f".{place.name}.{uuid4().hex[:8]}.partial")
    try:
        yield beside / place.name
        for written in beside.glob("*"):
            os.replace(written, place.with_name(written.name))
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def skipped_beside(out: Path) -> Path:
    """The place for bad rows that a bundle, an encoder or a folder at `out` was made without."""
    return out.parent / f"{out.name}-skipped.jsonl"
