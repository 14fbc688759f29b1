"""What a manifest and the judged rows say, in one place for the page and the card."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.bundle import Manifest
from limbeck.console import megabytes
from limbeck.data import Dataset
from limbeck.measure import Certificate, proves_little
from limbeck.tasks import NUMERIC, Logits

_METRIC_NAMES = {
    "micro_f1": "micro F1",
    "entity_f1": "entity F1",
    "tag_accuracy": "accuracy of the tags",
    "macro_f1": "macro F1",
    "exact_match": "exact match",
    "answer_f1": "F1 of answers",
    "answerable_f1": "F1 where there is an answer",
    "unanswerable_accuracy": "accuracy where there is none",
    "recall_at_1": "recall at 1",
    "recall_at_5": "recall at 5",
    "recall_at_10": "recall at 10",
    "mrr": "mean reciprocal rank",
    "triplet_accuracy": "triplets in order",
    "spearman": "Spearman's ρ",
    "pearson": "Pearson's r",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """Held-out rows with the answers of one variant.

    `targets` and `logits` are of the rows of `dataset`; `sha256` names those rows, as in a certificate; `where` is
    where they are from; `baseline` are the logits of the fp32 variant, where they are needed.
    """

    dataset: Dataset
    targets: NDArray[np.generic]
    logits: Logits
    variant: str
    sha256: str
    where: str
    baseline: Logits | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate and its number in the report's table and plot."""

    number: int
    certificate: Certificate
    chosen: bool
    kept: bool

    @property
    def state(self) -> str:
        """What became of the variant."""
        if self.chosen:
            return "chosen"
        if not self.certificate.holds:
            return "refused"
        return "holds" if self.kept else "holds, not kept"


def entries(manifest: Manifest) -> list[Entry]:
    """All certificates, the bundle's variants first, then those that were not kept, then the refused ones."""
    kept = [v.certificate for v in manifest.variants if v.certificate]
    found = [*kept, *manifest.beaten, *manifest.refused]
    return [Entry(i + 1, c, i < len(kept) and c.variant == manifest.chosen, i < len(kept)) for i, c in enumerate(found)]


def chosen_of(manifest: Manifest) -> Certificate | None:
    """The certificate of the chosen variant."""
    return next((e.certificate for e in entries(manifest) if e.chosen), None)


def fp32_of(manifest: Manifest) -> Certificate | None:
    """The certificate of the fp32 variant that the others are compared with for speed and size."""
    certificates = (v.certificate for v in manifest.variants if v.precision == "fp32")
    return next((c for c in certificates if c), None)


def verdict(manifest: Manifest) -> list[str]:
    """What came out, in plain sentences."""
    found = entries(manifest)
    chosen = chosen_of(manifest)
    if chosen is not None:
        return [_chosen_sentence(manifest, chosen), *_versus_fp32(manifest, chosen), *_caveats(manifest, chosen)]
    if not found:
        return ["The model is trained and not compiled yet, so no variant is proven: run limbeck compress."]
    nearest = min((e.certificate for e in found), key=lambda c: c.drop_points)
    return [
        f"No variant holds its budget, so none is chosen: the nearest, {nearest.variant}, lost "
        f"{nearest.drop_points:.2f} points of {metric_name(nearest.metric)} (95 % interval {interval(nearest)}), "
        f"and {nearest.max_drop_points:g} were allowed."
    ]


def _chosen_sentence(manifest: Manifest, c: Certificate) -> str:
    return (
        f"{c.variant} was chosen: {metric_name(c.metric)} {c.value:.4f} on {c.rows:,} held-out rows, "
        f"{_drop(c)} the fp32 PyTorch model (drop in points, 95 % interval: {interval(c)}); {changed(manifest, c)}."
    )


def _drop(c: Certificate) -> str:
    if abs(c.drop_points) < 0.005:
        return "the same as"
    return f"{abs(c.drop_points):.2f} points {'less' if c.drop_points > 0 else 'more'} than"


def numeric(manifest: Manifest) -> bool:
    """Whether answers are numbers, so that what changed is not counted but measured."""
    return manifest.task.name in NUMERIC


def changed(manifest: Manifest, c: Certificate) -> str:
    """How many answers changed, or where answers are numbers, by how much."""
    if numeric(manifest):
        return f"no number moved by more than {c.max_abs_logit:.2g}"
    return f"{c.changed:,} of {c.rows:,} answers changed"


def _versus_fp32(manifest: Manifest, c: Certificate) -> list[str]:
    fp32 = fp32_of(manifest)
    speed, size = f"{rate(c)} rows/s", megabytes(c.size_bytes)
    if fp32 is None or fp32.variant == c.variant:
        return [f"It answers {speed} on {c.machine.cpu} and takes {size}."]
    return [
        f"On {c.machine.cpu} it answers {speed}, {faster(fp32, c)} fp32 ONNX ({rate(fp32)} rows/s), "
        f"and its {size} are {smaller(fp32, c)} the {megabytes(fp32.size_bytes)} of fp32."
    ]


def _caveats(manifest: Manifest, c: Certificate) -> list[str]:
    lines = [f"{remark[0].upper()}{remark[1:]}." for remark in proves_little(c)]
    if c.remedies and manifest.refused:
        tries = f"{len(manifest.refused)} earlier tries were" if len(manifest.refused) > 1 else "one earlier try was"
        # Trying until one holds picks luck too.
        lines.append(f"It took remedies: {tries} refused on these same rows, so the drop may be a little flattered.")
    if c.drop_high_points <= c.max_drop_points:
        return lines
    return [
        *lines,
        f"The drop is within the budget of {c.max_drop_points:g} points, but its interval reaches beyond: "
        f"{c.rows:,} rows cannot rule out one of {c.drop_high_points:.2f} points. More held-out rows would tell.",
    ]


def faster(fp32: Certificate, c: Certificate) -> str:
    """How the speed compares, as words before the name of what it is compared with."""
    times = c.speed.rows_per_second / fp32.speed.rows_per_second
    return f"{times:.1f} times as fast as"


def smaller(fp32: Certificate, c: Certificate) -> str:
    """How the size compares, as words before the size that it is compared with."""
    return f"{100 * c.size_bytes / fp32.size_bytes:.0f} % of"


def interval(c: Certificate) -> str:
    """The 95 % interval of the drop, in points."""
    return f"{points(c.drop_low_points)} to {points(c.drop_high_points)}"


def points(value: float) -> str:
    """Points with their sign; 0 has none."""
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "\u2212")


def rate(c: Certificate) -> str:
    """Rows a second, without digits that mean nothing."""
    value = c.speed.rows_per_second
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def metric_name(metric: str) -> str:
    """A metric's name as people write it."""
    if metric.startswith("f1_"):
        return f"F1 of {metric[3:]}"
    return _METRIC_NAMES.get(metric, metric)
