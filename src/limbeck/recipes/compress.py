"""`limbeck compress`: a trained bundle gets compiled variants, each proven on held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from limbeck.bundle import Bundle, Manifest, read_trained, replace_variants
from limbeck.console import say, stage
from limbeck.data import Columns
from limbeck.engines.load import EngineName, usable_engines
from limbeck.errors import CheckFailed
from limbeck.files import scratch_within, write_text
from limbeck.recipes.arguments import check_numbers, fingerprint
from limbeck.recipes.compressing.judge import Judge, Objective
from limbeck.recipes.compressing.onnx_variants import onnx_variants
from limbeck.recipes.compressing.openvino_variants import openvino_variants
from limbeck.recipes.held_out import new_rows
from limbeck.recipes.together import alone_in
from limbeck.recipes.training.trained import made_with
from limbeck.report import card


def compress(
    bundle: str | Path,
    *,
    data: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    pair_separator: str | None = None,
    label_separator: str | None = None,
    skip_bad_rows: bool = False,
    max_drop: float = 0.5,
    threads: int | None = None,
    engine: Sequence[EngineName] = (),
    objective: Objective = "throughput",
    keep_all: bool = False,
) -> Bundle:
    """Compile a trained bundle to fp32 and int8 ONNX, on request for OpenVINO too, and prove each.

    int8 is tried with one scale a weight and with one for each output channel, and the form that changes fewer answers
    is kept. A form that loses more than the budget is refused; if both are, the most sensitive nodes stay in fp32, one
    after another, until the budget holds. The best variant that holds is chosen. Variants that are there already stay
    as they are until all is proven, and are then replaced; the model card is written anew.

    Example: `limbeck compress model --max-drop 0.3`

    Parameters
    ----------
    bundle
        The folder that `limbeck train` wrote.
    data
        Labelled rows to judge by; by default the held-out rows of the training data. At most 2,000 are read.
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
    max_drop
        The most that a variant may lose, in points (hundredths) of the task's metric.
    threads
        Compute threads; by default what the CPU quota and affinity allow.
    engine
        What to compile for beside ONNX Runtime: openvino, which is faster in batches and slower to start.
    objective
        Choose the variant with the most rows a second in batches (throughput), the one that answers a single text
        fastest (latency), or the smallest (size).
    keep_all
        Keep the files of all variants that hold; by default of those for OpenVINO only the chosen one's are kept.
    """
    check_numbers(max_drop=max_drop, threads=threads)
    columns = Columns(text, pair, label, pair_separator, label_separator)
    said: dict[str, Any] = {"data": data, "max_drop": max_drop, "engine": usable_engines(engine)}
    said |= {"objective": objective, "keep_all": keep_all, **asdict(columns), "skip_bad_rows": skip_bad_rows}
    with alone_in(bundle):
        opened = read_trained(bundle)
        with scratch_within(opened.folder) as built:
            with stage("Judging the fp32 PyTorch model"):
                rows = None if data is None else new_rows(opened, data, columns, skip_bad_rows=skip_bad_rows)
                judge = Judge(opened, built, rows, max_drop, threads)
            written = replace_variants(opened, _compiled(judge, said), built)
        write_text(opened.folder / "README.md", card(written.manifest, name=opened.folder.resolve().name))
    if written.manifest.chosen is None:
        raise CheckFailed(f"no variant of {bundle} holds --max-drop {max_drop:g}, not even fp32 ONNX")
    say(f"  chosen: {written.manifest.chosen}")
    return written


def _compiled(judge: Judge, said: dict[str, Any]) -> Manifest:
    """The manifest with the variants that were built in the judge's folder; `said` are the arguments of `compress`."""
    variants, refused = onnx_variants(judge)
    if "openvino" in said["engine"]:
        more, over = openvino_variants(judge)
        variants, refused = [*variants, *more], [*refused, *over]
    chosen = judge.best([v for v in variants if v.certificate and v.certificate.holds], said["objective"])
    # What runs everywhere stays beside a chosen variant that needs an extra.
    files = {v.file for v in variants if said["keep_all"] or v.engine == "onnxruntime" or v == chosen}
    before = judge.bundle.manifest
    return msgspec.structs.replace(
        before,
        variants=tuple(v for v in variants if v.file in files),
        beaten=tuple(v.certificate for v in variants if v.file not in files and v.certificate),
        refused=tuple(refused),
        chosen=chosen.name if chosen else None,
        arguments=before.arguments | {"compress": said | {"fingerprint": compress_mark(judge.bundle, **said)}},
    )


def compress_mark(
    bundle: Bundle,
    *,
    max_drop: float,
    engine: Sequence[EngineName],
    objective: Objective = "throughput",
    keep_all: bool = False,
    **judged_by: Any,
) -> str:
    """What the variants of a bundle depend on; `judged_by` are the arguments that say which rows judge, if any do."""
    trained = made_with(bundle.manifest)["fingerprint"]
    said = {"train": trained, "data": None, "max_drop": max_drop, "engine": list(engine)}
    said |= {"objective": objective, "keep_all": keep_all}
    said |= {name: value for name, value in judged_by.items() if value}
    return fingerprint(said, bundle.manifest.source.sha256)
