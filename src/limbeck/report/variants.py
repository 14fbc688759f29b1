"""The report's sections on the variants: side by side, and what the chosen one answers otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from limbeck.bundle import Manifest
from limbeck.console import megabytes
from limbeck.measure import Certificate, ChangedRow, row_differences
from limbeck.report.facts import (
    Entry,
    Judged,
    chosen_of,
    entries,
    interval,
    metric_name,
    numeric,
    points,
    rate,
)
from limbeck.report.html import Html, el, esc, figure, join, shortened, table, user_label, user_text
from limbeck.report.plots import variants_plot
from limbeck.tasks import Answer, AnyTask, Label, Tag
from limbeck.tasks.answer import NO_ANSWER
from limbeck.tasks.spans import judge

WORST = 20


def variants_section(manifest: Manifest) -> Html:
    """Speed against metric, and all certificates, the refused ones included."""
    found = entries(manifest)
    if not found:
        return el("p", "Nothing is compiled yet: run ", el("code", "limbeck compress"), ".", class_="missing")
    metric = metric_name(found[0].certificate.metric)
    caption = (
        f"Each number is a line of the table. Vertical lines are the 95 % interval of the drop against fp32 PyTorch "
        f"(dashed), from {found[0].certificate.rows:,} rows; a hollow point is refused."
    )
    return join(
        [
            figure(variants_plot(found, metric), caption),
            _certificates_table(found, metric, numbers=numeric(manifest)),
            el(
                "p",
                f"Refused: a drop of more than {found[0].certificate.max_drop_points:g} points. {_NOTE}",
                class_="note",
            ),
            _remedies(found),
        ]
    )


_NOTE = (
    "Drop: points (hundredths of the metric) below fp32 PyTorch on the same rows. Logits ±: the largest difference of "
    "a logit, and the 99th percentile over rows. Batch, padding: the largest difference that other rows in the "
    "batch, or padding, make to a row's logits, and the rows whose answer they changed. One text: median, 95th "
    "percentile."
)
_MEASURED = ("drop, points", "95 % interval", "changed", "rows/s", "one text, ms", "size")
_MOVED = ("logits ±", "batch ±", "padding ±")


def _certificates_table(found: Sequence[Entry], metric: str, *, numbers: bool) -> Html:
    head = ("", "variant", "", metric, *_MEASURED, *_MOVED)
    return table(head, (_certificate_row(entry, numbers) for entry in found), words=(0, 1, 2))


def _certificate_row(entry: Entry, numbers: bool) -> tuple[object, ...]:
    c, s = entry.certificate, entry.certificate.stability
    return (
        entry.number,
        el("span", c.variant, class_="name chosen" if entry.chosen else "name"),
        el("span", entry.state, class_="holds" if c.holds else "refused"),
        f"{c.value:.4f}",
        points(c.drop_points),
        interval(c),
        "–" if numbers else f"{c.changed:,} of {c.rows:,}",
        rate(c),
        f"{c.speed.single_ms:.1f} ({c.speed.single_p95_ms:.1f})",
        megabytes(c.size_bytes),
        f"{c.max_abs_logit:.2g} ({c.p99_abs_logit:.2g})",
        f"{s.batch_max_abs_logit:.2g} ({s.batch_changed} of {s.rows})",
        f"{s.padding_max_abs_logit:.2g} ({s.padding_changed} of {s.rows})",
    )


def _remedies(found: Sequence[Entry]) -> Html:
    needed = [e for e in found if e.certificate.remedies]
    if not needed:
        return esc("")
    lines = (
        el(
            "li",
            f"{e.number} {e.certificate.variant} ({e.state}): {shortened('; '.join(e.certificate.remedies), 240)}",
        )
        for e in needed
    )
    return join([el("h3", "Remedies tried"), el("ul", *lines, class_="small")])


def changed_section(manifest: Manifest, judged: Judged | None, missing: str) -> Html:
    """The rows to which the chosen variant answers otherwise than fp32, largest difference first."""
    c = chosen_of(manifest)
    if c is None:
        return el("p", "No variant is chosen, so there are no answers to compare.", class_="missing")
    if numeric(manifest):
        return _moved(c, judged, missing)
    if not c.changed:
        # None of n seen: less than 3/n with 95 % confidence ("rule of three", Hanley and Lippman-Hand 1983).
        most = f"{300 / c.rows:.2g} %"
        answers = f"{c.variant} answers all {c.rows:,} held-out rows as fp32 does"
        return el("p", f"{answers}; of other texts like them, fewer than {most} would change (95 % confidence).")
    shown = f" The {len(c.worst)} with the largest difference of a logit:" if len(c.worst) < c.changed else ""
    intro = el("p", f"{c.variant} answers {c.changed:,} of {c.rows:,} held-out rows otherwise than fp32.{shown}")
    same_rows = judged is not None and judged.sha256 == c.data_sha256
    if judged is None or not same_rows:
        why = missing or "the rows read now are not those of the certificate"
        note = f"The texts are not shown, because {why}. Numbers count the held-out rows from 0."
        rows: Iterator[tuple[object, ...]] = (
            (w.row, user_label(w.reference), user_label(w.variant), f"{w.max_abs_logit:.2g}") for w in c.worst
        )
        untexted = ("held-out row", "fp32", c.variant, "logits ±")
        return join([intro, el("p", note, class_="missing"), table(untexted, rows, words=(0, 1, 2))])
    head = ("row", "text", "true", "fp32", c.variant, "logits ±")
    return join(
        [
            intro,
            table(head, (_changed_row(manifest.task, judged, w) for w in c.worst), words=(0, 1, 2, 3, 4)),
            el("p", f"Row numbers are those of {judged.where}.", class_="note"),
        ]
    )


def _changed_row(task: AnyTask, judged: Judged, worst: ChangedRow) -> tuple[object, ...]:
    label = judged.dataset.labels[worst.row]
    # As `Task.predictions` writes it, so that a right answer is seen to be right.
    answers = (worst.reference, worst.variant)
    if isinstance(task, Answer):
        gold = judged.targets[worst.row]
        answers = (task.describe(worst.reference, gold), task.describe(worst.variant, gold))
        true = next((answer for answer in answers if judge(answer, gold.texts)[1]), _first_text(label))
    elif isinstance(task, Tag):
        true = task.describe(judged.targets[worst.row].astype(np.int16))
    else:
        true = ", ".join(name for name in task.labels if name in label) if isinstance(label, tuple) else str(label)
    return (
        judged.dataset.rows[worst.row],
        row_text(judged, worst.row),
        user_label(true),
        *(user_label(answer, "holds" if answer == true else "refused") for answer in answers),
        f"{worst.max_abs_logit:.2g}",
    )


def _first_text(label: Label) -> str:
    """The first of the answers to a question."""
    return next((span[2] for span in label if isinstance(span, tuple)), NO_ANSWER) if isinstance(label, tuple) else ""


def _moved(c: Certificate, judged: Judged | None, missing: str) -> Html:
    intro = el(
        "p",
        f"The numbers of {c.variant} differ from those of fp32 by {c.max_abs_logit:.3g} at most, "
        f"and by {c.p99_abs_logit:.3g} or less on 99 % of the rows.",
    )
    if judged is None:
        return join([intro, el("p", f"The rows are not shown, because {missing}.", class_="missing")])
    if judged.baseline is None:
        return intro
    differences = row_differences(judged.baseline, judged.logits)
    order = np.argsort(-differences, kind="stable")[:WORST].tolist()
    rows = (
        (
            judged.dataset.rows[i],
            row_text(judged, i),
            f"{judged.targets[i]:.4g}",
            f"{judged.baseline[i, 0]:.4g}",
            f"{judged.logits[i, 0]:.4g}",
            f"{judged.logits[i, 0] - judged.baseline[i, 0]:+.2g}",
        )
        for i in order
    )
    head = ("row", "text", "true", "fp32", c.variant, "difference")
    note = el("p", f"The {len(order)} that moved most. Row numbers are those of {judged.where}.", class_="note")
    return join([intro, table(head, rows, words=(0, 1)), note])


def row_text(judged: Judged, row: int) -> Html:
    """The text of a held-out row, or its two texts."""
    data = judged.dataset
    first = user_text(data.texts[row])
    return first if data.pairs is None else join([first, user_text(f"| {data.pairs[row]}")])
