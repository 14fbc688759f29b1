"""What a benchmark says in words: what is slow, and what to change."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.measure.benchmark import Timing
from limbeck.predictor import Predictor
from limbeck.recipes.arguments import too_many_threads
from limbeck.text import Tokens
from limbeck.tuning import kept_tuned

MUCH, FEW = 0.10, 0.01  # shares that are worth a word
FASTER = 1.1  # what is worth a change


def advice(timings: Sequence[Timing], predictor: Predictor, tokens: Sequence[Tokens]) -> list[str]:
    """Sentences, the weightiest first, on the predictor and the texts that were timed."""
    most = max(t.rows for t in timings)
    chosen = predictor.variant.name
    full = {(t.variant, t.way): t for t in timings if t.rows == most}
    auto = full.get((chosen, "auto"))
    found = too_many_threads(predictor.settings.threads)
    none_chosen = predictor.bundle.manifest.chosen is None
    if none_chosen:
        found.append(f"No variant of this bundle is chosen: {chosen}, which was named first, stands for it here.")
    if chosen not in {t.variant for t in timings}:
        found.append(f"{chosen}, with which predict answers, was not timed: name it with --variant too.")
    elif auto is None:
        found.append(f"{chosen} takes too long for all of these texts to be compared: take fewer --rows.")
    else:
        found += [] if none_chosen else _of_variants(full, auto, chosen)
        found += [*_of_batches(full, auto, chosen), *_of_shares(auto)]
    found += _of_texts(tokens, predictor.model.max_tokens)
    return found + _of_tuning(predictor, sorted({t.variant for t in timings}))


def _of_tuning(predictor: Predictor, timed: Sequence[str]) -> list[str]:
    bundle = predictor.bundle
    if kept_tuned(bundle, predictor.variant) is None:
        return ["`limbeck tune` was not run here: it finds threads, streams and batches for this machine."]
    ours = [variant for variant in bundle.manifest.variants if variant.name in timed]
    if not (untuned := [variant.name for variant in ours if kept_tuned(bundle, variant) is None]):
        return []
    return [
        f"{predictor.variant.name} is tuned to this machine, {' and '.join(untuned)} not: "
        f"`limbeck tune BUNDLE --variant {untuned[0]}` before they are compared."
    ]


def _of_texts(tokens: Sequence[Tokens], max_tokens: int) -> list[str]:
    texts, found = len({t.row for t in tokens}), []
    distinct = len({(t.input_ids.tobytes(), t.token_type_ids.tobytes()) for t in tokens})
    if (repeated := 1 - distinct / len(tokens)) >= MUCH:
        found.append(f"{repeated:.0%} of the texts repeat another one: predict computes them once.")
    if (cut := sum(t.truncated_tokens > 0 for t in tokens) / texts) >= FEW:
        found.append(
            f"{cut:.0%} of the texts are longer than the {max_tokens} tokens that are read, and are cut: predict reads "
            "more of them with --max-tokens or --on-long window, and takes longer."
        )
    return found


def _of_variants(full: dict[tuple[str, str], Timing], auto: Timing, chosen: str) -> list[str]:
    ours = [t for (variant, way), t in full.items() if way == "auto" and variant != chosen]
    best = max(ours, key=lambda t: t.rows_per_second, default=auto)
    times = best.rows_per_second / auto.rows_per_second
    if times < FASTER:
        return []
    return [
        f"{best.variant} is {times:.1f} times as fast here as {chosen}, which was chosen when the bundle was compiled: "
        "compress it here, or name the faster one with --variant."
    ]


def _of_batches(full: dict[tuple[str, str], Timing], auto: Timing, chosen: str) -> list[str]:
    found = []
    batch = full.get((chosen, "batch 32"))
    times = auto.rows_per_second / batch.rows_per_second if batch else 0.0
    if batch and batch.padding and batch.padding >= MUCH and times >= FASTER:
        found.append(
            f"In batches of 32 in file order padding is {batch.padding:.0%} of what is computed; by length, as predict "
            f"has them, {auto.padding or 0:.1%}. With that and its batches, predict is {times:.1f} times as fast."
        )
    single = full.get((chosen, "single"))
    if single and auto.rows_per_second > FASTER * single.rows_per_second:
        share = single.rows_per_second / auto.rows_per_second
        found.append(f"One text a call gives {share:.0%} of the rows a second: hand many texts to one predict.")
    return found


def _of_shares(auto: Timing) -> list[str]:
    if auto.shares is None:
        return []
    words = {
        "tokenising": "its texts are short or its model small; a smaller model gains little from here",
        "padding": "a text of its own length is rare: give more texts at once",
        "decoding": "ask for fewer scores, or hand over fewer labels",
        "waiting": "batches are small or few: give more texts at once",
    }
    return [
        f"{name.capitalize()} takes {share:.0%} of the time: {why}."
        for name, why in words.items()
        if (share := getattr(auto.shares, name)) >= MUCH
    ]
