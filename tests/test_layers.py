"""The layer map and the torch line, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import limbeck

SOURCE = Path(limbeck.__file__).parent

# A part (a package, or a module beside the packages) may import parts of a lower rank and itself.
RANKS = {
    "errors": 0,
    "files": 0,
    "bases": 1,
    "tasks": 1,
    "text": 1,
    "data": 1,
    "measure": 2,
    "bundle": 3,
    "engines": 3,
    "nn": 3,
    "predictor": 3,
    "tuning": 3,
    "proving": 3,
    "console": 4,
    "tables": 4,
    "training": 4,
    "distillation": 4,
    "augmentation": 4,
    "export": 4,
    "report": 4,
    "recipes": 5,
    "show": 6,
    "cli": 6,
    "__main__": 7,
}
# What may be imported of one's own rank.
ASIDE = {
    "data": {"tasks"},
    "nn": {"bundle"},
    "engines": {"bundle"},
    "predictor": {"bundle", "engines", "tuning"},
    "tuning": {"bundle", "engines"},
    "proving": {"bundle", "engines", "predictor"},
    "distillation": {"training"},
    "report": {"console"},
    "cli": {"show"},
}
# And the one module that holds the two worlds together.
ASIDE_OF_MODULES = {"engines.torch_engine": {"nn"}}

# Production: neither these nor anything that they import, at module level, may bring in what trains.
BELOW_THE_TORCH_LINE = (
    *("errors", "files", "console", "bases", "tasks", "text", "data", "measure", "bundle", "engines"),
    *("predictor", "proving", "tuning", "tables"),
    *("recipes.bases", "recipes.predict", "recipes.tune", "show", "cli"),
)
ABOVE_IT_ALL_THE_SAME = {"engines.torch_engine"}
TRAINING_LIBRARIES = [
    *("torch", "transformers", "accelerate", "safetensors", "sklearn", "scipy", "onnx", "sympy", "matplotlib"),
    *("datasets", "huggingface_hub", "google_crc32c", "optuna"),
]


@dataclass(frozen=True)
class Import:
    """`module` names what is imported, `line` where."""

    module: str
    line: int
    lazy: bool


def modules() -> dict[str, ast.Module]:
    """Every module by its name within limbeck; a package by its own name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


MODULES = modules()


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(node: ast.AST, *, lazy: bool = False) -> Iterator[Import]:
    """All imports under `node` but those for type checkers alone; `lazy` are those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import"
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                known = whole.removeprefix("limbeck.") in MODULES
                yield Import(whole if known else str(child.module), child.lineno, lazy)
        elif is_type_checking(child):
            continue
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(child, lazy=lazy or inside)


def own_imports(name: str, *, lazy: bool) -> Iterator[tuple[str, int]]:
    """The modules of limbeck that a module imports, with lines; those inside functions only if `lazy`."""
    for found in imports(MODULES[name]):
        if found.module.startswith("limbeck.") and (lazy or not found.lazy):
            yield found.module.removeprefix("limbeck."), found.line


def part(name: str) -> str:
    return name.partition(".")[0]


def may_import(name: str, other: str) -> bool:
    here, there = part(name), part(other)
    return (
        here == there
        or RANKS[there] < RANKS[here]
        or there in ASIDE.get(here, set())
        or there in ASIDE_OF_MODULES.get(name, set())
    )


def test_every_part_has_a_rank() -> None:
    parts = {part(name) for name in MODULES if name}
    assert parts - {"__main__"} <= RANKS.keys(), "a new part: give it a rank in this test"


def test_the_exceptions_are_of_one_rank() -> None:
    for here, others in (ASIDE | ASIDE_OF_MODULES).items():
        assert all(RANKS[part(here)] == RANKS[other] for other in others)


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_imports_point_down(name: str) -> None:
    wrong = [
        f"{name} line {line} imports {other}"
        for other, line in own_imports(name, lazy=True)
        if not may_import(name, other)
    ]
    assert not wrong


def test_only_the_version_is_taken_from_the_top() -> None:
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "limbeck":
                taken = {alias.name for alias in node.names} - {m for m in MODULES if "." not in m}
                assert taken <= {"__version__"}, f"{name} line {node.lineno} takes {taken} from limbeck itself"


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {name: {other for other, _ in own_imports(name, lazy=False)} for name in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, naming the cycle


def below_the_line() -> list[str]:
    """The production modules and all that they import at module level, with the packages these stand in."""
    waiting = [name for name in MODULES if name == "" or name.startswith(BELOW_THE_TORCH_LINE)]
    waiting = [name for name in waiting if name not in ABOVE_IT_ALL_THE_SAME]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other, _ in own_imports(name, lazy=False)]
            waiting += [package for package in (name.rpartition(".")[0],) if package in MODULES]
    return sorted(found)


@pytest.mark.parametrize("name", below_the_line())
def test_production_needs_nothing_that_trains(name: str) -> None:
    wrong = [
        f"{name} line {found.line} imports {found.module}"
        for found in imports(MODULES[name])
        if not found.lazy and part(found.module) in TRAINING_LIBRARIES
    ]
    assert not wrong
    assert name not in ABOVE_IT_ALL_THE_SAME


@pytest.mark.parametrize(
    "statement",
    [
        "import limbeck; limbeck.load; limbeck.Predictor; limbeck.predict",
        "import limbeck.recipes.predict",
        "import limbeck.engines.onnxruntime_engine, limbeck.proving",
        "import limbeck.cli, limbeck.show",
    ],
)
def test_production_runs_where_nothing_that_trains_is_installed(statement: str) -> None:
    listing = f"import sys\n{statement}\nprint(*({set(TRAINING_LIBRARIES)!r} & sys.modules.keys()))\n"
    listed = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=False)
    assert (listed.returncode, listed.stdout.split()) == (0, []), listed.stderr
    # And as if they were not installed: None in sys.modules makes an import fail.
    blocking = f"import sys\nsys.modules.update(dict.fromkeys({TRAINING_LIBRARIES!r}))\n{statement}\n"
    blocked = subprocess.run([sys.executable, "-c", blocking], capture_output=True, text=True, check=False)
    assert blocked.returncode == 0, blocked.stderr


def test_a_text_starts_without_what_only_files_and_terminals_need() -> None:
    modules = "limbeck.cli, limbeck.recipes.predict, limbeck.show"
    listing = f"import sys, {modules}\nprint(*({{'rich', 'pyarrow'}} & sys.modules.keys()))"
    listed = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == []
