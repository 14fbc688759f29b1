"""The model card of a pretrained encoder."""

from __future__ import annotations

import json
import re

from limbeck.recipes.pretraining.pretrained import Record
from limbeck.report.card import markdown

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def pretraining_card(record: Record, *, name: str) -> str:
    """The model card, as Markdown, with the front matter that the Hugging Face hub reads."""
    base, text, after = record.arguments["base"], record.text, record.scores["after"]
    front = ["---", "library_name: transformers", "pipeline_tag: fill-mask"]
    front += [f"base_model: {json.dumps(base)}"] if base and _HUB_ID.fullmatch(base) else []
    front += ["tags:", "- fill-mask", "- limbeck", "---"]
    origin = (
        f"continued from {markdown(base)}" if base else f"of the shape {record.model['shape']}, trained from nothing"
    )
    what = (
        f"An encoder of the family {record.model['type']} ({record.model['parameters']:,} parameters), {origin} by "
        f"limbeck {markdown(record.limbeck)}: masked language modelling{_extras(record)} on {text['sequences']:,} "
        f"sequences of at most {text['max_tokens']} tokens, {text['tokens']:,} tokens in all, read {_times(record)}."
    )
    rows = ["| held-out text | perplexity | masked accuracy |", "|---|---:|---:|"]
    rows += [f"| {when} | {s['perplexity']:.2f} | {s['accuracy']:.4f} |" for when, s in record.scores.items()]
    judged = f"{text['held_out_sequences']:,} sequences that were not trained on, {after['tokens']:,} masked tokens."
    use = f"```sh\nlimbeck train labelled.csv --base {_place(name)} --out model\n```"
    return (
        "\n\n".join(
            [
                "\n".join(front),
                f"# {markdown(name)}",
                what,
                "\n".join(rows),
                judged,
                "## Use",
                use,
                "## Limits",
                _limits(),
            ]
        )
        + "\n"
    )


def _extras(record: Record) -> str:
    said = [" of whole words"] * bool(record.arguments["whole_words"])
    return "".join(said + [" and next-sentence prediction"] * bool(record.arguments["next_sentence"]))


def _times(record: Record) -> str:
    epochs = record.training["plan"]["epochs"]
    return "once" if epochs == 1 else f"{epochs} times"


def _limits() -> str:
    return (
        "- It fills masks and is a start for fine-tuning; it is no classifier yet.\n"
        "- Perplexities compare on the same held-out text with the same vocabulary only."
    )


def _place(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else "FOLDER"
