"""The bundle that a training writes: its tokenizer first, then weights and manifest, whole before it is in place."""

from __future__ import annotations

import shutil
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from limbeck import __version__
from limbeck.bundle import (
    FORMAT,
    MANIFEST,
    Bundle,
    Manifest,
    Model,
    Source,
    read_manifest,
    read_trained,
    write_manifest,
)
from limbeck.console import say
from limbeck.data import Columns, Splits
from limbeck.errors import BundleError, UsageError
from limbeck.files import as_usual
from limbeck.nn.base import load_tokenizer, longest_input
from limbeck.nn.model import TextModel, save_model
from limbeck.nn.sentence import write_modules
from limbeck.recipes.arguments import installed_versions, made_otherwise
from limbeck.tasks import Embed
from limbeck.training.fine_tune import FineTuned
from limbeck.training.plan import Plan
from limbeck.training.prepare import Prepared, label_counts


def already_trained(
    out: Path, arguments: dict[str, Any], mark: str, overwrite: bool, *, by: Literal["train", "distill"]
) -> Bundle | None:
    """The bundle at `out` if this recipe made it of these very arguments and rows; None for what to `overwrite`.

    So a stage that is done stays done when a run with `overwrite` is stopped and started again. Raises `UsageError`
    for anything else at `out`.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if overwrite and not (out / MANIFEST).is_file():
        raise UsageError(f"--overwrite replaces bundles only, and {out} is none: choose another --out")
    try:
        manifest = read_manifest(out)
        before = made_with(manifest)
    except (BundleError, KeyError):
        if overwrite:
            return None
        raise UsageError(f"{out} exists and is no bundle that was trained here: choose another --out") from None
    if before["fingerprint"] == mark:
        with suppress(BundleError) if overwrite else nullcontext():  # a damaged one is replaced
            bundle = read_trained(out)
            say(f"  {out} was trained with these arguments on these rows already; nothing to do")
            return bundle
    if overwrite:
        return None
    if by not in manifest.arguments:
        maker = "train or build" if by == "distill" else "distill"
        raise UsageError(
            f"{out} exists and was made by limbeck {maker}: choose another --out, or replace it with --overwrite"
        )
    raise made_otherwise(out, before, arguments, "rows, another base" if by == "train" else "rows, another teacher")


def made_with(manifest: Manifest) -> dict[str, Any]:
    """The arguments of the recipe that trained a bundle's weights. Raises `KeyError` where none is recorded."""
    recorded: dict[str, Any] = manifest.arguments.get("distill") or manifest.arguments["train"]
    return recorded


def save_tokenizer(base: str, model: TextModel, max_tokens: int | None, folder: Path) -> tuple[int, int]:
    """Write the base's tokenizer into an empty `folder`; returns the padding id and the most tokens it reads.

    Raises `UsageError` for a `max_tokens` beyond those.
    """
    tokenizer = load_tokenizer(base)
    limit = longest_input(model.config, tokenizer)
    if max_tokens is not None and not 8 <= max_tokens <= limit:
        raise UsageError(f"--max-tokens {max_tokens}: expected 8 to {limit}, what this encoder reads")
    # A tokenizer of no known family would not give plain transformers the segments that the model is trained with.
    tokenizer.model_input_names = list(model.input_names)
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names  # or they would not be saved
    shutil.rmtree(folder, ignore_errors=True)  # of a run that stopped
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    pad_id = model.config.pad_token_id
    if pad_id is None:
        pad_id = tokenizer.pad_token_id or 0
    return int(pad_id), limit


def source_of(data: str, columns: Columns, splits: Splits, skipped: bool) -> Source:
    """Where the rows came from, for the manifest."""
    return Source(
        path=str(Path(data).resolve()) if Path(data).exists() else data,
        columns=asdict(columns),
        sha256=splits.sha256,
        held_out_sha256=splits.held_out_sha256,
        rows={"train": len(splits.train), "dev": len(splits.dev), "test": len(splits.test)},
        notes=splits.notes,
        skipped=skipped,
    )


def manifest_of(
    model: Model,
    source: Source,
    tuned: FineTuned,
    plan: Plan,
    prepared: Prepared,
    arguments: dict[str, Any],
    sweep: dict[str, Any] | None = None,
    distillation: dict[str, Any] | None = None,
) -> Manifest:
    """The manifest of a bundle that is not yet compiled; `sweep` and `distillation` say what else trained it."""
    training = {
        "fit": asdict(tuned.fit),
        "plan": asdict(plan),
        "lengths": asdict(prepared.lengths),
        "length_histogram": prepared.length_histogram,
        "truncated": prepared.truncated,
        "untrained": tuned.untrained,
        "label_counts": label_counts(tuned.task, prepared.train.targets),
        **({"sweep": sweep} if sweep else {}),
        **({"distillation": distillation} if distillation else {}),
    }
    return Manifest(
        format=FORMAT,
        limbeck=__version__,
        task=tuned.task,
        model=model,
        source=source,
        arguments={"distill" if distillation else "train": arguments},
        versions=installed_versions(),
        training=training,
        scores=tuned.scores,
    )


def write_trained(out: Path, work: Path, model: TextModel, manifest: Manifest) -> Bundle:
    """Make the bundle whole beside `out`, then move it into place."""
    folder = work / "bundle"
    save_model(model, folder)
    if isinstance(manifest.task, Embed):
        write_modules(
            folder,
            pooling=manifest.model.pooling,
            width=model.config.hidden_size,
            max_tokens=manifest.model.max_tokens,
            normalized=manifest.task.normalized,
        )
    as_usual(folder)
    written = write_manifest(folder, manifest)
    move_into_place(folder, out, work)
    return Bundle(out, written)


def move_into_place(folder: Path, out: Path, work: Path) -> None:
    """Rename a whole `folder` to `out`, whatever was there, and clear `work`."""
    if out.exists():
        shutil.rmtree(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(out)
    shutil.rmtree(work)
    say(f"  wrote {out}")
