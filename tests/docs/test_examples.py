"""What README.md and docs/ show must work: Python blocks run, `limbeck` lines parse, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import limbeck
from limbeck import proving
from limbeck.cli import app
from limbeck.measure import Speed

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Example:
    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> Iterator[Example]:
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match["language"] == language:
                line = text.count("\n", 0, match.start("body")) + 1
                yield Example(path.relative_to(ROOT).as_posix(), line, match["body"])


def commands() -> Iterator[Example]:
    """The lines of `sh` blocks that call limbeck, those ending in a backslash joined, as far as a pipe goes."""
    for block in blocks("sh"):
        joined = block.text.replace("\\\n", "  ")
        for offset, line in enumerate(joined.splitlines()):
            for part in line.split(" | "):
                if part.strip().startswith("limbeck "):
                    yield Example(block.page, block.line + offset, part.strip())


@pytest.fixture(scope="module")
def untimed() -> Iterator[None]:
    """Speed is another test's affair, and timing takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            proving, "measure_speed", lambda *_: Speed(rows_per_second=1.0, single_ms=1.0, single_p95_ms=1.0, rows=1)
        )
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, untimed: None, tiny_base: Path, reviews_csv: Path) -> Path:
    """What the examples speak of: `reviews.csv`, the encoder `my-encoder`, the bundles `model` and `embedder`."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copy(reviews_csv, folder / "reviews.csv")
    shutil.copytree(tiny_base, folder / "my-encoder")
    limbeck.build(str(folder / "reviews.csv"), out=folder / "model", base=str(tiny_base), epochs=1, precision="fp32")
    texts = [line.rpartition(",")[0] for line in reviews_csv.read_text("utf-8").splitlines()[1:]]
    pairs = [f"{one},{other}" for one, other in zip(texts[::2], texts[1::2], strict=True)]
    (folder / "pairs.csv").write_text("\n".join(["sentence1,sentence2", *pairs]), "utf-8")
    limbeck.build(str(folder / "pairs.csv"), out=folder / "embedder", base=str(tiny_base), epochs=1, task="embed")
    return folder


@pytest.mark.parametrize("example", list(blocks("python")), ids=str)
def test_python_runs(example: Example, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    exec(compile("\n" * (example.line - 1) + example.text, example.page, "exec"), {"__name__": "example"})


@pytest.mark.parametrize("example", list(commands()), ids=str)
def test_commands_parse(example: Example) -> None:
    tokens = shlex.split(example.text, comments=True)[1:]
    _, launched, *_ = app.meta.parse_args(tokens, exit_on_error=False, print_error=False)
    rest = list(launched.arguments.get("tokens", ()))
    if rest in (["--help"], ["--version"]):
        return
    command, bound, *_ = app.parse_args(rest, exit_on_error=False, print_error=False)

    assert command.__name__ == rest[0]
    assert bound.arguments


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = [m["target"] for m in LINK.finditer(text) if not m["target"].startswith(("http", "#"))]

    assert [t for t in targets if not (page.parent / t.partition("#")[0]).exists()] == []


def test_there_is_something_to_check() -> None:
    assert len(list(blocks("python"))) >= 5
    assert len(list(commands())) >= 20
