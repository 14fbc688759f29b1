"""Lists and mappings that a text spells, as CSV files hold them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping


def parse_literal(text: str) -> list[object] | Mapping[str, object] | None:
    """The list or mapping that a text spells in JSON (`["a"]`) or in Python (`['a']`, as pandas writes); or None."""
    if not text.startswith(("{", "[")):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            value: object = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | dict):
            return value
    return None


def parse_list(text: str) -> list[object] | None:
    """The list that a text spells; or None."""
    value = parse_literal(text)
    return value if isinstance(value, list) else None
