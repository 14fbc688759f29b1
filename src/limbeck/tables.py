"""Tables on standard output that lose no digit, however narrow the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from shutil import get_terminal_size

WIDEST = 10_000  # of what is no terminal: nothing is cut in a file or a pipe


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads, those of columns that are empty left out.

    Where a terminal is too narrow the table is turned, so that rows stand side by side, or its rows follow one another.
    """
    # Only what shows a table needs rich.
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    filled = [column for column in range(len(head)) if any(row[column] for row in rows)]
    lines = [[escape(line[column]) for column in filled] for line in (head, *rows)]
    width, height = get_terminal_size() if sys.stdout.isatty() else (WIDEST, 1)
    unbounded = Console(width=WIDEST, height=height)
    for first, *rest in (lines, list(zip(*lines, strict=True))):
        table = Table(*first)
        for cells in rest:
            table.add_row(*cells)
        if unbounded.measure(table).maximum <= width:
            Console(width=width, height=height).print(table)
            return
    for row in rows:
        first, *rest = ((head[column], row[column].replace("\n", " ")) for column in filled)
        named = (f"{name}: {cell}" if name else cell for name, cell in rest if cell)
        sys.stdout.write("\n  ".join([first[1], *named]) + "\n")
