from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_commands_say_now() -> None:
    generated: str = runpy.run_path(str(DOCS / "generate_cli.py"))["page"]()

    assert (DOCS / "cli.md").read_text(encoding="utf-8") == generated, "run `python docs/generate_cli.py`"


def test_every_flag_of_build_is_described() -> None:
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    build = page.split("## limbeck build", 1)[1].split("\n## ", 1)[0]
    flags = [line for line in build.splitlines() if line.startswith("* `--")]

    assert len(flags) > 20
    assert [line for line in flags if line.endswith(":") or ": *[" in line] == []
