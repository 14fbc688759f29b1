"""What a pretraining leaves beside the model: its record, `pretraining.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from limbeck.console import say
from limbeck.errors import UsageError
from limbeck.files import write_text
from limbeck.recipes.arguments import made_otherwise

RECORD = "pretraining.json"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """`pretraining.json`. `scores` are those on held-out text, `before` only for an encoder that was pretrained."""

    limbeck: str
    arguments: dict[str, Any]
    versions: dict[str, str]
    model: dict[str, Any]
    text: dict[str, Any]
    training: dict[str, Any]
    scores: dict[str, dict[str, float | None]]


class PretrainedEncoder(msgspec.Struct, frozen=True):
    """A pretrained encoder on disk."""

    folder: Path
    record: Record


def already_pretrained(out: Path, arguments: dict[str, Any], mark: str, overwrite: bool) -> PretrainedEncoder | None:
    """The encoder at `out` if these very arguments and texts made it; None for what to `overwrite`.

    Raises `UsageError` where something else is in the place.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    path = out / RECORD
    if not path.is_file():
        raise UsageError(f"{out} exists and was not pretrained here (it has no {RECORD}): choose another --out")
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if overwrite:
            return None
        raise UsageError(f"{path} is damaged ({error}): replace the folder with --overwrite") from error
    before = record.arguments
    if before.get("fingerprint") == mark:
        say(f"  {out} was pretrained with these arguments on this text already; nothing to do")
        return PretrainedEncoder(out, record)
    if overwrite:
        return None
    raise made_otherwise(out, before, arguments, "text, another base")


def write_record(folder: Path, record: Record, card: str) -> None:
    """Write `pretraining.json` and the model card `README.md` into `folder`."""
    write_text(folder / "README.md", card)
    write_text(folder / RECORD, msgspec.json.format(msgspec.json.encode(record), indent=1).decode())
