"""What `limbeck train` says while it works: the data, the bar, the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from limbeck.console import progress_bar, say
from limbeck.tasks import Answer, AnyTask, Tag, make_task
from limbeck.training.fine_tune import FineTuned
from limbeck.training.place import Progress
from limbeck.training.plan import Plan, steps_per_epoch
from limbeck.training.prepare import Prepared, label_counts

_ADVICE = "it needs more rows, other labels, or more --epochs"
IMBALANCE = 5  # labels whose counts differ by more than this factor are called uneven


def data_lines(task: AnyTask, prepared: Prepared) -> Iterator[str]:
    """The labels with their counts, and the lengths of the texts."""
    counts = label_counts(task, prepared.train.labelled_targets)
    if counts:
        rarest, commonest = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        shown = ", ".join(f"{label} {n:,}" for label, n in list(counts.items())[:8])
        yield f"{len(counts)} labels: {shown}{', …' if len(counts) > 8 else ''}"
        if counts[commonest] > IMBALANCE * max(1, counts[rarest]):
            advice = "" if isinstance(task, Tag) else "; --balance-labels would weigh them alike"
            yield f"uneven labels: {commonest!r} has {counts[commonest]:,} rows, {rarest!r} {counts[rarest]:,}{advice}"
    if isinstance(task, Answer):
        golds = prepared.train.labelled_targets.tolist()
        yield f"{sum(not gold.texts for gold in golds):,} of {len(golds):,} questions have no answer"
    tested = label_counts(task, prepared.test.targets)
    if untested := [label for label, rows in tested.items() if not rows]:
        shown = ", ".join(map(repr, untested[:8])) + (f" and {len(untested) - 8} more" if len(untested) > 8 else "")
        yield f"no test row has {shown}: how well that is answered will not be known"
    lengths = prepared.lengths
    yield (
        f"tokens a text: mean {lengths.mean:.0f}, 99 % up to {lengths.p99}, longest {lengths.longest}; "
        f"max_tokens {prepared.max_tokens} ({prepared.truncated:,} of {len(prepared.train.rows):,} training rows cut)"
    )


def outcome_lines(tuned: FineTuned, prepared: Prepared) -> Iterator[str]:
    """The precision, the best evaluation, and the scores of the fp32 model beside those of what costs nothing."""
    fitted = tuned.fit
    chosen = fitted.precision
    measured = f" (a step took {chosen.fp32_ms:.0f} ms in fp32, {chosen.bf16_ms:.0f} ms in bf16)"
    yield f"trained in {chosen.precision}{measured if chosen.fp32_ms else ''}, {fitted.rows_per_second:.0f} rows/s"
    early = ", stopped early" if fitted.stopped_early else ""
    yield f"best dev {tuned.task.metric} {fitted.best.score:.4f} after epoch {fitted.best.epoch:.1f}{early}"
    for split, values in tuned.scores.items():
        yield f"fp32 on {split}: " + ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    baseline = _baseline(tuned, prepared)
    if baseline is not None:
        named, score = baseline
        yield f"{named} {tuned.task.metric} {score:.4f} on test"
        if tuned.scores["test"][tuned.task.metric] <= score:
            yield f"the model is NO BETTER than that: {_ADVICE}"
    elif tuned.scores["test"][tuned.task.metric] <= 0:
        yield f"the model has learnt NOTHING that shows on test: {_ADVICE}"


def _baseline(tuned: FineTuned, prepared: Prepared) -> tuple[str, float] | None:
    """What costs nothing and what it scores on the test rows: the base as it came, or the same answer to all."""
    task, targets = tuned.task, prepared.test.targets
    if tuned.untrained is not None:
        return "the base as it came has", tuned.untrained[task.metric]
    if isinstance(task, Answer) and task.threshold is not None:
        return "never answering would have", float(np.mean([not gold.texts for gold in targets.tolist()]))
    counts = label_counts(task, prepared.train.targets)
    if not counts or task.name == "tag":  # no text is without words that are no entity
        return None
    label = max(counts, key=counts.__getitem__)
    logits = np.full((len(targets), task.outputs), -1, dtype=np.float32)
    logits[:, task.labels.index(label)] = 1
    return f"always answering {label!r} would have", make_task(task.name, task.labels).score(logits, targets)


@contextmanager
def training_bar(plan: Plan, rows: int, metric: str) -> Iterator[Callable[[Progress], None]]:
    """A progress bar that also prints each evaluation as a line; yields what `fit` calls at each step."""
    with progress_bar("steps", plan.epochs * steps_per_epoch(rows, plan)) as update:
        said = last = 0

        def on_step(now: Progress) -> None:
            nonlocal said, last
            if not last and now.step > 1:
                say(f"  goes on after step {now.step - 1:,}, where it was stopped")
            last = now.step
            for evaluation in now.evaluations[said:]:
                say(
                    f"  epoch {evaluation.epoch:.1f}: loss {evaluation.loss:.4f}, "
                    f"dev {metric} {evaluation.score:.4f}, {now.rows_per_second:.0f} rows/s"
                )
            said = len(now.evaluations)
            best = max((e.score for e in now.evaluations), default=None)
            score = "" if best is None else f" · best {metric} {best:.4f}"
            update(now.step, f"loss {now.loss:.3f} · {now.rows_per_second:.0f} rows/s{score}")

        yield on_step
