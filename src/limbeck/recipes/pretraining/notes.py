"""What `limbeck pretrain` says while it works: the start, the text, the outcome."""

from __future__ import annotations

from collections.abc import Iterator

from limbeck.nn.language_model import Started
from limbeck.text import Packed
from limbeck.training.pretrain import Pretrained


def head_lines(started: Started, next_sentence: bool) -> Iterator[str]:
    """What of the base goes on learning, and what is fresh."""
    if started.fresh_head:
        yield "the base has no language modelling head: a fresh one is decoded by its word embeddings"
    if next_sentence and started.fresh_next_sentence:
        yield "the base has no next-sentence head: a fresh one is trained"
    if started.pooler:
        yield "the base's pooler is kept as it is: only --next-sentence would train it"


def text_lines(train: Packed, held_out: Packed) -> Iterator[str]:
    """How much text there is."""
    yield (
        f"{len(train):,} sequences of {train.tokens / len(train):.0f} tokens on average to train on, "
        f"{len(held_out):,} to judge by"
    )


def outcome_lines(pretrained: Pretrained) -> Iterator[str]:
    """The precision, and what held-out text shows."""
    fitted, chosen = pretrained.fit, pretrained.fit.precision
    measured = f" (a step took {chosen.fp32_ms:.0f} ms in fp32, {chosen.bf16_ms:.0f} ms in bf16)"
    yield f"trained in {chosen.precision}{measured if chosen.fp32_ms else ''}, {fitted.rows_per_second:.0f} rows/s"
    for when, scores in (("before", pretrained.before), ("after", pretrained.after)):
        if scores is not None:
            pairs = scores.next_sentence_accuracy
            yield (
                f"held-out text {when}: perplexity {scores.perplexity:,.2f}, masked accuracy {scores.accuracy:.4f}"
                f"{'' if pairs is None else f', next-sentence accuracy {pairs:.4f}'}"
            )
