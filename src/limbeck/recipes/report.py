"""`limbeck report`: `report.html` and the model card of a bundle."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from limbeck.bundle import Bundle, Variant, read_bundle
from limbeck.console import say
from limbeck.data import Columns, Dataset
from limbeck.data.sampling import JUDGED_ROWS, at_most
from limbeck.engines.load import load_engine
from limbeck.errors import DataError, MissingExtra, UsageError
from limbeck.files import write_text
from limbeck.proving import HeldOut, held_out_logits
from limbeck.recipes.held_out import judging, new_rows, training_splits
from limbeck.report import Judged, card, page
from limbeck.tasks import Logits


def report(bundle: str | Path) -> Path:
    """Write `report.html` and the model card `README.md` into a bundle; returns the report's path.

    Where the rows that the bundle was judged on are gone, the report is written without what needs them and says so.

    Example: `limbeck report model`

    Parameters
    ----------
    bundle
        The folder that `limbeck build` wrote.
    """
    opened = read_bundle(bundle)
    name = opened.folder.resolve().name
    judged, missing = None, "nothing is compiled yet"
    if opened.manifest.variants:
        try:
            judged, missing = _judged(opened), ""
        except (DataError, MissingExtra, UsageError) as error:
            missing = f"the rows it was judged on cannot be read ({error})"
            say(f"  {missing}: the report is written without them")
    path = opened.folder / "report.html"
    write_text(path, page(opened.manifest, name=name, judged=judged, missing=missing))
    write_text(opened.folder / "README.md", card(opened.manifest, name=name))
    say(f"  wrote {path}")
    return path


def _judged(bundle: Bundle) -> Judged:
    """The answers of the chosen variant, or where none is chosen of the first, on the rows it was judged on."""
    manifest = bundle.manifest
    dataset, where = _rows(bundle)
    held_out = judging(bundle, dataset).held_out
    variant = bundle.variant(manifest.chosen or manifest.variants[0].name)
    fp32 = next((v for v in manifest.variants if v.precision == "fp32" and v.name != variant.name), None)
    # Numbers are not listed in a certificate when they change: all of them do.
    needed = fp32 is not None and manifest.task.name == "regress"
    return Judged(
        dataset=dataset,
        targets=held_out.targets,
        logits=_logits(bundle, variant, held_out),
        variant=variant.name,
        sha256=held_out.sha256,
        where=where,
        baseline=_logits(bundle, fp32, held_out) if fp32 and needed else None,
    )


def _rows(bundle: Bundle) -> tuple[Dataset, str]:
    """The rows that `compress` judged by, and where they are from."""
    said = bundle.manifest.arguments.get("compress", {})
    data = said.get("data")
    if data is None:
        return training_splits(bundle)[2], bundle.manifest.source.path
    columns = Columns(**{field.name: said.get(field.name) for field in fields(Columns)})
    rows = new_rows(bundle, data, columns, skip_bad_rows=said.get("skip_bad_rows", False))
    return at_most(rows, JUDGED_ROWS), str(data)


def _logits(bundle: Bundle, variant: Variant, held_out: HeldOut) -> Logits:
    engine = load_engine(bundle.folder, variant)
    return held_out_logits(engine, held_out, bundle.manifest.task, bundle.manifest.model)
