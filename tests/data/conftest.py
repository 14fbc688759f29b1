"""Small files to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from .files import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file into the test's folder and returns its path."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file
