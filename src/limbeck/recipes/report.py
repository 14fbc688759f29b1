"""`report.html` and the model card of a bundle."""

from __future__ import annotations

from pathlib import Path

from limbeck.bundle import read_bundle


def report(bundle: Path) -> Path:
    """Write `report.html` and `README.md` into a bundle; returns the report's path."""
    opened = read_bundle(bundle)
    return opened.folder / "report.html"
