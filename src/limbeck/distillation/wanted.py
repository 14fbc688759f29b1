"""What is asked of a student: objectives with weights, by the name of a method or written out."""

from __future__ import annotations

import re

from limbeck.errors import UsageError

Weights = dict[str, float]
"""The weight of each objective by its name."""

# From the answers alone: the teacher's are computed once.
OF_ANSWERS = ("soft", "logits", "contrastive")
# What needs no look inside the teacher.
WITHOUT_STATES = ("hard", *OF_ANSWERS)
# Layer for layer, along the layer map.
OF_LAYERS = ("hidden", "directions", "patient", "attention")
# Of the student's last mapped layer and the one that it learns from.
OF_LAST = ("distributions", "values", "relations")
BY_LAYER_MAP = (*OF_LAYERS, *OF_LAST)
# Of all that is inside: those too that compare embeddings, or what the whole encoders give.
INSIDE = (*BY_LAYER_MAP, "embeddings", "samples")
NAMES = ("hard", *OF_ANSWERS, *INSIDE)
PRESETS: dict[str, Weights] = {
    "default": {"soft": 1.0, "hidden": 1.0},
    "hinton": {"soft": 0.9, "hard": 0.1},
    "distilbert": {"soft": 5.0, "hard": 2.0, "directions": 1.0},
    "tinybert": {"soft": 1.0, "embeddings": 1.0, "hidden": 1.0, "attention": 1.0},
    "minilm": {"soft": 1.0, "distributions": 1.0, "values": 1.0},
    "minilmv2": {"soft": 1.0, "relations": 1.0},
}
# The default where the student cannot be compared with what is inside its teacher.
_OUTSIDE: Weights = {"soft": 0.5, "hard": 0.5}
_WEIGHT = re.compile(r"\d+(?:\.\d*)?|\.\d+")


def parse_objective(text: str, flag: str = "--objective", *, inside: bool = True) -> Weights:
    """The weights of a preset, or of objectives written out, as `soft=0.5,hidden=1`.

    What `default` is hangs on whether the student can be compared with what is `inside` its teacher.

    Raises `UsageError`, with the `flag` that gave them, for what is neither, for a name that is no objective, for a
    weight below 0, and where nothing has any weight.
    """
    if text == "default" and not inside:
        return dict(_OUTSIDE)
    if text in PRESETS:
        return dict(PRESETS[text])
    parts = [part.strip() for part in text.split(",")]
    written = [(name.strip(), weight.strip()) for name, _, weight in (part.partition("=") for part in parts)]
    names = {name for name, _ in written}
    if not names <= set(NAMES) or len(names) < len(parts):
        raise UsageError(
            f"{flag} {text!r}: expected one of {', '.join(PRESETS)}, or objectives with weights, each once, as "
            f"soft=0.5,hidden=1, of {', '.join(NAMES)}"
        )
    wrong = [part for part, (_, weight) in zip(parts, written, strict=True) if not _WEIGHT.fullmatch(weight)]
    if wrong:
        raise UsageError(f"{flag} {text}: expected weights of 0 or more, as soft=0.5, and not {', '.join(wrong)}")
    kept = {name: float(weight) for name, weight in written if float(weight)}
    if not kept:
        raise UsageError(f"{flag} {text}: nothing has any weight, so nothing would be learnt")
    return kept
