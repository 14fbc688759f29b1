"""The report's sections on the verdict, the training and the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from limbeck.bundle import Manifest
from limbeck.console import megabytes
from limbeck.measure import Certificate
from limbeck.report.facts import (
    chosen_of,
    faster,
    fp32_of,
    interval,
    metric_name,
    numeric,
    points,
    rate,
    smaller,
    verdict,
)
from limbeck.report.html import Html, el, esc, facts_table, figure, figures, folded, join, table, user_label
from limbeck.report.plots import counts_plot, lengths_plot, loss_plot, score_plot

PLOTTED_LABELS = 40


def verdict_section(manifest: Manifest, name: str) -> Html:
    """What came out, in words and as cards."""
    chosen = chosen_of(manifest)
    first, *rest = verdict(manifest)
    return join(
        [
            el("h1", name),
            el("p", first, class_="verdict" if chosen else "verdict none"),
            *(el("p", line) for line in rest),
            _cards(manifest, chosen) if chosen else esc(""),
        ]
    )


def _cards(manifest: Manifest, c: Certificate) -> Html:
    fp32 = fp32_of(manifest)
    compared = fp32 is not None and fp32.variant != c.variant
    cards = [
        (f"{c.value:.4f}", f"{metric_name(c.metric)} of {c.variant}; fp32 PyTorch {c.reference:.4f}"),
        (points(c.drop_points), f"points lost [{interval(c)}], {c.max_drop_points:g} allowed"),
        _changed_card(manifest, c),
        (f"{rate(c)} rows/s", f"{faster(fp32, c)} fp32 ONNX" if fp32 and compared else "in batches"),
        (f"{c.speed.single_ms:.1f} ms", f"for one text alone; 95 % within {c.speed.single_p95_ms:.1f} ms"),
        (megabytes(c.size_bytes), f"{smaller(fp32, c)} fp32 ONNX" if fp32 and compared else "on disk"),
    ]
    return el(
        "div", *(el("div", el("b", value), el("span", what), class_="card") for value, what in cards), class_="cards"
    )


def _changed_card(manifest: Manifest, c: Certificate) -> tuple[str, str]:
    if numeric(manifest):
        return f"{c.max_abs_logit:.2g}", "the most that a number moved from fp32"
    return f"{c.changed:,}", f"of {c.rows:,} answers differ from fp32 ({100 * c.changed / c.rows:.2g} %)"


def training_section(manifest: Manifest) -> Html:
    """Loss and dev metric over epochs, and how it was trained."""
    fit: dict[str, Any] = manifest.training.get("fit", {})
    evaluations = fit.get("evaluations", ())
    if not evaluations:
        return el("p", "No training is recorded.", class_="missing")
    metric = metric_name(manifest.task.metric)
    epochs = [float(e["epoch"]) for e in evaluations]
    scores = [float(e["score"]) for e in evaluations]
    best = next(i for i, e in enumerate(evaluations) if e["step"] == fit["best"]["step"])
    plan = manifest.training.get("plan", {})
    facts = [
        ("base", manifest.model.base),
        ("parameters", f"{manifest.model.parameters:,}"),
        (
            "steps",
            f"{fit['steps']:,}, in batches of {plan.get('batch', '?')}, of {plan.get('epochs', '?')} epochs planned",
        ),
        ("learning rate", plan.get("learning_rate", "?")),
        ("precision", _precision(fit["precision"], manifest)),
        ("time", f"{_duration(fit['seconds'])}, {fit['rows_per_second']:,.0f} rows/s"),
        ("stopped early", _stopped(fit, len(evaluations), best)),
        *_taught(manifest),
    ]
    return join(
        [
            figures(
                figure(
                    loss_plot(epochs, [float(e["loss"]) for e in evaluations]), "Mean loss since the evaluation before."
                ),
                figure(score_plot(epochs, scores, best, metric), "The weights of the best evaluation were kept."),
            ),
            facts_table(facts),
        ]
    )


def _taught(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Who taught a student and what, with what the teacher scores on the same rows."""
    taught: dict[str, Any] | None = manifest.training.get("distillation")
    if taught is None:
        return
    metric = manifest.task.metric
    ours, theirs = manifest.scores["test"][metric], taught["teacher_scores"]["test"][metric]
    kept = f" ({taught['retention']['test']:.1f} % kept)" if "test" in taught["retention"] else ""
    yield "teacher", f"{taught['teacher']}, {taught['teacher_parameters']:,} parameters"
    yield "student", taught["shape"] + (", reads by a tokenizer of its own" if taught.get("own_tokenizer") else "")
    if pruned := taught.get("pruned"):
        (heads, of_heads), (units, of_units) = pruned["heads"], pruned["units"]
        yield (
            "kept in each layer",
            f"{heads} of {of_heads} heads, {units:,} of {of_units:,} feed-forward units: "
            f"{pruned['estimated_speedup']:.2f} times fewer operations at {pruned['tokens']} tokens, "
            f"{pruned['measured_speedup']:.2f} times as fast in PyTorch",
        )
    yield f"{metric_name(metric)} on test", f"teacher {theirs:.4f}, student {ours:.4f}{kept}"
    yield "objective", ", ".join(f"{name} {weight:g}" for name, weight in taught["objective"].items())


def _precision(choice: dict[str, Any], manifest: Manifest) -> str:
    if not choice.get("fp32_ms"):
        arguments = manifest.arguments.get("distill") or manifest.arguments["train"]
        if arguments["precision"]:
            why = "as asked"
        else:
            why = "as measured in the first trial" if "sweep" in manifest.training else "steps too few to measure both"
        return f"{choice['precision']}, {why}"
    times = f"fp32 {choice['fp32_ms']:.0f} ms, bf16 {choice['bf16_ms']:.0f} ms"
    return f"{choice['precision']}, by measurement: a step took {times}"


def _stopped(fit: dict[str, Any], evaluations: int, best: int) -> str:
    if not fit.get("stopped_early"):
        return "no"
    waited = evaluations - 1 - best
    return f"yes, after {waited} evaluation{'s' * (waited > 1)} without a better one"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{seconds:.1f} s" if seconds < 60 else f"{minutes} min {rest:02d} s"


def data_section(manifest: Manifest) -> Html:
    """Rows, labels and lengths, and what was noticed while reading."""
    source = manifest.source
    rows = sum(source.rows.values())
    splits = ((name, f"{count:,}", f"{100 * count / max(1, rows):.0f} %") for name, count in source.rows.items())
    return join(
        [
            el("p", "From ", el("code", source.path), "."),
            table(("split", "rows", "share"), splits),
            figures(*_data_figures(manifest)),
            el("ul", *(el("li", note) for note in source.notes), class_="small") if source.notes else esc(""),
        ]
    )


def _data_figures(manifest: Manifest) -> Iterator[Html]:
    training = manifest.training
    histogram = training.get("length_histogram")
    if histogram and histogram["counts"]:
        max_tokens = manifest.model.max_tokens
        yield figure(lengths_plot(histogram["edges"], histogram["counts"], max_tokens), _lengths_caption(manifest))
    counts: dict[str, int] = training.get("label_counts", {})
    if counts:
        ordered = dict(sorted(counts.items(), key=lambda item: -item[1]))
        most = dict(list(ordered.items())[:PLOTTED_LABELS])
        if len(most) == len(ordered):
            yield figure(counts_plot(most), f"{len(counts)} labels.")
        else:
            every = table(("label", "training rows"), ((user_label(label), f"{n:,}") for label, n in ordered.items()))
            caption = f"The {PLOTTED_LABELS} commonest of {len(counts)} labels."
            yield join([figure(counts_plot(most), caption), folded(f"All {len(counts)} labels", every)])


def _lengths_caption(manifest: Manifest) -> str:
    lengths, truncated = manifest.training.get("lengths", {}), manifest.training.get("truncated", 0)
    rows = max(1, manifest.source.rows.get("train", 1))
    known = (
        f"Mean {lengths['mean']:.0f} tokens, median {lengths['median']}, 95 % up to {lengths['p95']}, "
        f"99 % up to {lengths['p99']}, longest {lengths['longest']}. "
        if lengths
        else ""
    )
    return f"{known}Cut at {manifest.model.max_tokens}: {truncated:,} training rows ({100 * truncated / rows:.2g} %)."
