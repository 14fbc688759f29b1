"""What the tests write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Write = Callable[[str, str | bytes], Path]


def jsonl(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(count: int = 20, *more: str) -> str:
    """A CSV of good rows with two labels, and then more lines."""
    rows = [f"good text {i},{'ab'[i % 2]}" for i in range(count)]
    return "\n".join(["text,label", *rows, *more]) + "\n"
