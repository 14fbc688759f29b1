"""`limbeck verify`: prove a bundle's variants again, here, on the same rows or on new ones."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from limbeck.bundle import REFERENCE, Bundle, Variant, read_bundle
from limbeck.console import say, stage
from limbeck.data import Columns
from limbeck.data.sampling import at_most
from limbeck.engines import Engine, Settings
from limbeck.engines.load import check_installed, is_installed, load_engine
from limbeck.errors import UsageError
from limbeck.measure import Certificate, Recheck, compare_certificates
from limbeck.proving import Candidate, held_out_logits, prove
from limbeck.recipes.arguments import check_numbers
from limbeck.recipes.held_out import judging, new_rows, training_splits
from limbeck.text import OnLong


@dataclass(frozen=True, slots=True)
class VariantCheck:
    """A variant's new certificate, and what it says of the stored one."""

    certificate: Certificate
    recheck: Recheck


@dataclass(frozen=True, slots=True)
class Verification:
    """What was measured now. `reference` says which model the variants were held against."""

    bundle: str
    task: str
    reference: str
    scores: dict[str, float]
    rows: int
    on_long: str | None
    checks: tuple[VariantCheck, ...]

    @property
    def holds(self) -> bool:
        """Whether no certificate was contradicted."""
        return not any(check.recheck.failures for check in self.checks)


def verify(
    bundle: str | Path,
    *,
    data: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    pair_separator: str | None = None,
    label_separator: str | None = None,
    skip_bad_rows: bool = False,
    variant: str | None = None,
    rows: int | None = None,
    max_tokens: int | None = None,
    on_long: OnLong | None = None,
    threads: int | None = None,
) -> Verification:
    """Prove every variant of a bundle again and hold it against its certificate; exit code 1 when one does not hold.

    The reference is the fp32 PyTorch model; where PyTorch is not installed, the bundle's fp32 ONNX variant.

    Example: `limbeck verify model --data january.csv`

    Parameters
    ----------
    bundle
        The folder that `limbeck build` wrote.
    data
        Labelled rows to judge by; by default the held-out rows of the training data.
    text
        The column of the text, if --data names its columns unlike the training data.
    pair
        The column of the second text of a pair.
    label
        The column of the label.
    pair_separator
        What splits the text column into a pair.
    label_separator
        What splits the label column into many labels.
    skip_bad_rows
        Leave bad rows of --data out, count them and write them to DATA-skipped.jsonl in the current folder.
    variant
        Only this variant; by default all.
    rows
        Judge by at most so many rows; by default all of --data, or 2,000 of the training data's held-out rows.
    max_tokens
        Read at most so many tokens of a text; by default what the model was trained with.
    on_long
        What to do with longer texts: cut them, read them in windows, or refuse them; by default those to tag or to
        answer from are read in windows, and all others cut.
    threads
        Compute threads; by default what the CPU quota and affinity allow.
    """
    check_numbers(rows=rows, threads=threads)
    opened = read_bundle(bundle).reading(max_tokens)
    task, model = opened.manifest.task, opened.manifest.model
    wanted = [opened.variant(variant)] if variant else [v for v in opened.manifest.variants if is_installed(v.engine)]
    for left_out in {v.name for v in opened.manifest.variants if not variant and v not in wanted}:
        say(f"  {left_out} is not proven: its engine is not installed")
    if not wanted:
        opened.variant()  # says what is missing
    stored = [_stored(one) for one in wanted]
    if data is None:
        dataset = training_splits(opened)[2]
    else:
        columns = Columns(text, pair, label, pair_separator, label_separator)
        dataset = new_rows(opened, data, columns, skip_bad_rows=skip_bad_rows)
    held_out = judging(opened, at_most(dataset, rows), on_long=on_long).held_out
    settings = Settings(threads=threads)
    with stage(f"Judging the reference on {len(held_out.targets):,} rows"):
        name, reference = _reference(opened, settings)
        logits = held_out_logits(reference, held_out, task, model)
    scores = task.scores(logits, held_out.targets)
    say("  " + ", ".join(f"{metric} {value:.4f}" for metric, value in scores.items()))
    checks = []
    for one, before in zip(wanted, stored, strict=True):
        with stage(f"Proving {one.name}"):
            candidate = Candidate(one.name, one.engine, one.precision, before.size_bytes, one.remedies)
            engine = load_engine(opened.folder, one, settings)
            now = prove(
                candidate,
                engine,
                held_out,
                logits,
                task=task,
                model=model,
                max_drop=before.max_drop_points,
            )
        checks.append(VariantCheck(now, compare_certificates(before, now)))
    return Verification(str(bundle), task.name, name, scores, len(held_out.targets), on_long, tuple(checks))


def _stored(variant: Variant) -> Certificate:
    """Its certificate. Raises `UsageError` where it has none, or its engine is not installed."""
    if variant.name == REFERENCE:
        raise UsageError(f"{REFERENCE} is what the other variants are held against: name one of them with --variant")
    if variant.certificate is None:
        raise UsageError(f"variant {variant.name} has no certificate: run `limbeck compress`")
    check_installed(variant)
    return variant.certificate


def _reference(bundle: Bundle, settings: Settings) -> tuple[str, Engine]:
    """The fp32 PyTorch model, or where PyTorch is absent (in production, say) the fp32 ONNX that was proven equal."""
    if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
        # The torch line: production verifies without these.
        from limbeck.engines.torch_engine import load_reference

        return "PyTorch fp32", load_reference(bundle, settings)
    fp32 = bundle.variant("onnx-fp32")
    return "ONNX Runtime fp32 (PyTorch is not installed)", load_engine(bundle.folder, fp32, settings)
