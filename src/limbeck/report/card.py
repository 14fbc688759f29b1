"""The model card: `README.md` of a bundle, with the front matter that the Hugging Face hub reads."""

from __future__ import annotations

import json
import re

from limbeck.bundle import Manifest
from limbeck.console import megabytes
from limbeck.report.facts import entries, interval, metric_name, numeric, points, rate, verdict
from limbeck.report.html import plain
from limbeck.report.made import commands, machine_words
from limbeck.report.usage import lacks_heads, limbeck_usage, onnxruntime_usage, transformers_usage

_HUB_METRICS = {
    "accuracy": "accuracy",
    "micro_f1": "f1",
    "spearman": "spearmanr",
    "entity_f1": "seqeval",
    "recall_at_1": "recall",
    "triplet_accuracy": "accuracy",
    "answer_f1": "squad",
}
_PIPELINES = {"tag": "token-classification", "embed": "sentence-similarity", "answer": "question-answering"}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_DOES = {
    "classify": "Gives a text one of {n} labels",
    "multilabel": "Gives a text any of {n} labels",
    "regress": "Gives a text a number",
    "embed": "Turns a text into a vector",
    "answer": "Answers questions with spans of a context",
    "tag": "Finds entities of {n} kinds in a text",
}
SHOWN_LABELS = 40


def card(manifest: Manifest, *, name: str) -> str:
    """The model card of the bundle `name`, as Markdown."""
    parts = [_front_matter(manifest), f"# {markdown(name)}", _what(manifest), *map(markdown, verdict(manifest))]
    if entries(manifest):
        parts += ["## Variants", _variants(manifest)]
    parts += ["## Use", "With limbeck (no PyTorch needed):", *limbeck_usage(manifest)]
    parts += ["On the command line:", _code("sh", "\n".join(commands(manifest, _place(name))))]
    parts += transformers_usage(manifest) + onnxruntime_usage(manifest)
    parts += ["## Limits", _limits(manifest)]
    return "\n\n".join(parts) + "\n"


def markdown(text: str) -> str:
    """Text of the user's that Markdown and HTML leave as it is, on one line."""
    line = " ".join(plain(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~$])", r"\\\1", line)


def _front_matter(manifest: Manifest) -> str:
    base = manifest.model.base
    # A JSON string is a YAML string, whatever stands in it.
    theirs = not lacks_heads(manifest)
    library = "transformers" if theirs and manifest.model.pooling in ("pooler", "tokens", "spans") else "limbeck"
    library = "sentence-transformers" if theirs and manifest.task.name == "embed" else library
    pipeline = _PIPELINES.get(manifest.task.name, "text-classification")
    lines = ["---", f"library_name: {library}", f"pipeline_tag: {pipeline}"]
    lines += [f"base_model: {json.dumps(base)}"] if _HUB_ID.fullmatch(base) else []
    lines += ["tags:", *(f"- {tag}" for tag in (pipeline, "onnx", "limbeck"))]
    lines += ["metrics:", f"- {_HUB_METRICS[manifest.task.metric]}", "---"]
    return "\n".join(lines)


def _what(manifest: Manifest) -> str:
    task, source = manifest.task, manifest.source
    does = _DOES[task.name].format(n=len(task.labels))
    pair = does.replace("a text", "a pair of texts") if manifest.model.pair else does
    shown = ", ".join(markdown(label) for label in task.labels[:SHOWN_LABELS])
    more = f" and {len(task.labels) - SHOWN_LABELS} more" if len(task.labels) > SHOWN_LABELS else ""
    labels = f": {shown}{more}" if shown else ""
    taught = manifest.training.get("distillation")
    version, base = markdown(manifest.limbeck), markdown(manifest.model.base)
    made = (
        f"Distilled by limbeck {version} from a model of {taught['teacher_parameters']:,} parameters, made from "
        f"{base}, to {manifest.model.parameters:,}"
        if taught
        else f"Fine-tuned by limbeck {version} from {base} ({manifest.model.parameters:,} parameters)"
    )
    return f"{pair}{labels}. {made} on {source.rows['train']:,} rows."


def _variants(manifest: Manifest) -> str:
    found = entries(manifest)
    metric = metric_name(found[0].certificate.metric)
    head = ("variant", metric, "drop, points [95 %]", "changed", "rows/s", "one text", "size", "")
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 2) + "---|"]
    for entry in found:
        c = entry.certificate
        cells = (
            markdown(c.variant),
            f"{c.value:.4f}",
            f"{points(c.drop_points)} [{interval(c)}]",
            "–" if numeric(manifest) else f"{c.changed:,} of {c.rows:,}",
            rate(c),
            f"{c.speed.single_ms:.1f} ms",
            megabytes(c.size_bytes),
            "**chosen**" if entry.chosen else entry.state if c.holds else f"refused, over {c.max_drop_points:g} points",
        )
        lines.append(f"| {' | '.join(cells)} |")
    c = found[0].certificate
    lines.append("")
    lines.append(
        f"Against the fp32 PyTorch model ({metric} {c.reference:.4f}) on {c.rows:,} held-out rows. "
        f"Speeds: {markdown(machine_words(c.machine))}. Certificates are in `limbeck.json`, the whole report, "
        "which `limbeck report` writes, in `report.html`."
    )
    return "\n".join(lines)


def _limits(manifest: Manifest) -> str:
    model = manifest.model
    longer = (
        "what is longer is read in windows, unless `on_long` is `truncate` or `error`."
        if manifest.task.name in ("tag", "answer")
        else "what is longer is cut and the cut counted in the result, unless `on_long` is `window` or `error`."
    )
    lines = [
        f"It reads {model.max_tokens} tokens of a text, special tokens included; {longer}",
        "It was judged on rows set aside from its training data: on other kinds of text it may do worse. "
        "Measure it on yours: `limbeck verify … --data labelled.csv`.",
        "Speeds, and for int8 the last digits of scores, are those of the machine named above.",
    ]
    if manifest.task.name == "classify":
        lines.append("It always answers one of the labels above, for a text of any other kind too.")
    return "\n".join(f"- {line}" for line in lines)


def _place(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else "BUNDLE"


def _code(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"
