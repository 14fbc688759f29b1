"""Lists and mappings that a text spells, as CSV files hold them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping

# A string as Python writes it, and an array of strings as numpy prints it, without commas: Python would join them.
_STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ARRAY = re.compile(rf"\[\s*(?:{_STRING})(?:\s+(?:{_STRING}))+\s*\]")


def parse_literal(text: str) -> list[object] | Mapping[str, object] | None:
    """The list or mapping that a text spells, or None.

    In JSON (`["a", "b"]`), in Python (`['a', 'b']`, as pandas writes lists), or of strings as numpy prints an array
    (`['a' 'b']`, as pandas writes what was one).
    """
    if not text.startswith(("{", "[")):
        return None
    if _ARRAY.fullmatch(text):
        return [ast.literal_eval(item) for item in re.findall(_STRING, text)]
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
