"""Write `docs/cli.md` from the commands themselves: `python docs/generate_cli.py`."""

from __future__ import annotations

import re
from pathlib import Path

from limbeck.cli import app

PAGE = Path(__file__).with_name("cli.md")
HEAD = """\
<!-- Written by docs/generate_cli.py. Do not edit: change the docstring of the recipe and run the script again. -->

"""
TAIL = """
## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | a measured check did not hold: no variant within `--max-drop`, or a certificate contradicted by `verify` |
| 2 | bad input or usage: one message on standard error |
| 130 | interrupted, by Ctrl-C or SIGTERM |

Progress and remarks go to standard error, results to standard output.
"""
FLAG = re.compile(r"\* `(?P<flag>--[a-z-]+)[^`]*`:(?P<help>.*)")


def page() -> str:
    """The page, as it should be."""
    text = app.generate_docs()
    sections = re.split(r"(?m)^(?=## )", text)
    train = next(section for section in sections if section.startswith("## limbeck train"))
    lines = [_with_help_of_train(s, train) if s.startswith("## limbeck build") else s for s in sections]
    body = "\n".join(line.rstrip() for line in "".join(lines).splitlines())
    return HEAD + body.rstrip() + "\n" + TAIL


def _with_help_of_train(build: str, train: str) -> str:
    """`build` hands its training flags to `train`, where they are described and have their defaults."""
    described = {match["flag"]: block for block in _blocks(train) if (match := FLAG.match(block))}
    blocks = []
    for block in _blocks(build):
        match = FLAG.match(block)
        bare = match is not None and not re.sub(r"\*\[.*\]\*", "", match["help"]).strip()
        blocks.append(described.get(match["flag"], block) if match and bare else block)
    return "\n".join(blocks) + "\n\n"


def _blocks(section: str) -> list[str]:
    """A section's lines, those that go on with a list item joined to it."""
    blocks: list[str] = []
    for line in section.rstrip().splitlines():
        if line.startswith("    ") and blocks and blocks[-1].startswith("* "):
            blocks[-1] += "\n" + line
        else:
            blocks.append(line)
    return blocks


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
