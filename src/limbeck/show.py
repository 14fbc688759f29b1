"""What a command's result looks like on standard output: tables for people, or one JSON document."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path

import msgspec

from limbeck.bundle import MANIFEST, Bundle, Manifest
from limbeck.console import duration, megabytes, say
from limbeck.measure import Certificate, proves_little
from limbeck.measure.benchmark import Benchmark
from limbeck.recipes.bases import Bases
from limbeck.recipes.predict import STANDARD_OUTPUT, Predicted
from limbeck.recipes.pretraining.pretrained import PretrainedEncoder
from limbeck.recipes.tune import Race, Tuning
from limbeck.recipes.verify import Verification
from limbeck.tables import print_table
from limbeck.tasks import NUMERIC

RACES = {
    "threads": "single texts: threads",
    "streams": "many texts: batches at once",
    "budget_tokens": "tokens a batch",
    "round_to": "lengths to a multiple of",
    "batch_cost": "tokens padded to save a batch",
}
LEGEND = (
    "drop: lost against fp32 PyTorch on the same rows, in points (hundredths) with its 95 % interval; changed: other "
    "answers;\nlogits ±: largest difference from fp32; batch ±: from the text alone, in batches with others\n"
)


def exit_code(result: object) -> int:
    """1 for a verification that does not hold, else 0."""
    return int(isinstance(result, Verification) and not result.holds)


def show(result: object, *, as_json: bool, printed: str = "") -> None:
    """Print what a recipe returned; the summary of a prediction, whose rows are out by then, to standard error.

    As JSON it is one document; `printed` is what the recipe wrote to standard output, held back until then.
    """
    if isinstance(result, Predicted) and not as_json:
        _show_predicted(result)
    elif as_json and result is not None and not isinstance(result, int):
        sys.stdout.write(msgspec.json.encode(_document(result, printed), enc_hook=str).decode() + "\n")
    elif isinstance(result, Bundle):
        _show_bundle(result)
    elif isinstance(result, PretrainedEncoder):
        sys.stdout.write(f"next: limbeck train DATA --base {result.folder} --out MODEL\nencoder: {result.folder}\n")
    elif isinstance(result, Verification):
        _show_verification(result)
    elif isinstance(result, Bases):
        _show_bases(result)
    elif isinstance(result, Tuning):
        _show_tuning(result)
    elif isinstance(result, Benchmark):
        _show_benchmark(result)
    else:
        sys.stdout.write(printed if result is None or isinstance(result, int) else f"{result}\n")


def _document(result: object, printed: str) -> object:
    if isinstance(result, Bundle):
        return {"folder": str(result.folder), **msgspec.to_builtins(result.manifest)}
    if isinstance(result, Verification):
        return {**msgspec.to_builtins(result), "holds": result.holds}
    if isinstance(result, Predicted):
        answers = [msgspec.Raw(line.encode()) for line in printed.split("\n") if line]
        return msgspec.to_builtins(result) | ({"answers": answers} if result.output == STANDARD_OUTPUT else {})
    if isinstance(result, PretrainedEncoder):
        return {"folder": str(result.folder), **msgspec.to_builtins(result.record)}
    if isinstance(result, Bases):
        return result.rows
    if isinstance(result, Path):
        return {"report": str(result)}
    return result


def _show_predicted(done: Predicted) -> None:
    rate = done.rows / done.seconds if done.seconds else 0.0
    noun = "text" if done.rows == 1 else "texts"
    cut = f", {done.truncated_rows:,} cut" if done.truncated_rows else ""
    windows = f", {done.windowed_rows:,} read in windows" if done.windowed_rows else ""
    tuned = ", tuned" if done.tuned else ""
    skipped = f", left out as bad: {done.skipped_rows:,}" if done.skipped_rows else ""
    if done.rows > 20 or cut or windows or skipped or done.output != STANDARD_OUTPUT:
        say(
            f"{done.rows:,} {noun} in {duration(done.seconds)} ({rate:.0f} rows/s, {done.variant}{tuned})"
            f"{cut}{windows}{skipped} → {done.output}"
        )


def _show_bundle(bundle: Bundle) -> None:
    manifest = bundle.manifest
    if manifest.variants or manifest.refused:
        found = _certificates(manifest)
        _table(found, manifest.task.name, chosen=manifest.chosen)
        sys.stdout.writelines(f"{line}\n" for line in (*proves_little(found[0][0]), *_worth(manifest)))
    else:
        sys.stdout.write(f"next: limbeck compress {bundle.folder}, to compile and prove what predict runs\n")
    report = bundle.folder / "report.html"
    if report.exists():
        earlier = report.stat().st_mtime_ns < (bundle.folder / MANIFEST).stat().st_mtime_ns
        anew = f", of an earlier compilation: limbeck report {bundle.folder} writes it anew" if earlier else ""
        sys.stdout.write(f"report: {report}{anew}\n")
    sys.stdout.write(f"bundle: {bundle.folder}\n")


def _worth(manifest: Manifest) -> Iterator[str]:
    """Whether a distillation was worth it, once more: what was said of it is out of sight by then."""
    if "distillation" in manifest.training:
        # Only here, for the report's plots take most of a second to import.
        from limbeck.report.worth import standings_of, worth_sentences

        yield from worth_sentences(standings_of(manifest), manifest.task.metric)


def _certificates(manifest: Manifest) -> list[tuple[Certificate, str]]:
    kept = [(v.certificate, "holds" if v.certificate.holds else "REFUSED") for v in manifest.variants if v.certificate]
    beaten = ((c, "holds, not kept") for c in manifest.beaten)
    return [*kept, *beaten, *((c, "REFUSED") for c in manifest.refused)]


def _show_verification(found: Verification) -> None:
    scores = ", ".join(f"{name} {value:.4f}" for name, value in found.scores.items())
    sys.stdout.write(f"reference, {found.reference}, {found.rows:,} rows: {scores}\n")
    _table([(c.certificate, "FAILS" if c.recheck.failures else "holds") for c in found.checks], found.task, chosen=None)
    for check in found.checks:
        for line in (*check.recheck.failures, *check.recheck.remarks):
            sys.stdout.write(f"{check.certificate.variant}: {line}\n")


def _show_bases(found: Bases) -> None:
    head = ("--base", "parameters", "layers", "width", "heads", "language", "vocabulary", "in TensorFlow Hub")
    rows = [
        (
            base.hub_id or "(none known)",
            f"{base.parameters / 1e6:.1f} M" if base.parameters else "?",
            str(base.layers),
            str(base.hidden_size),
            str(base.heads),
            f"{base.language} ({base.languages})" if (base.languages or 0) > 1 else base.language,
            f"{base.vocabulary:,} {'cased' if base.cased else 'uncased'}",
            base.tf_hub or "",
        )
        for base in found.rows
    ]
    print_table(head, rows)


def _show_benchmark(found: Benchmark) -> None:
    parts = ("tokenising", "computing", "padding", "decoding", "waiting")
    rows = [
        (
            f"{t.variant} *" if t.variant == found.chosen else t.variant,
            t.way,
            f"{t.rows:,}",
            f"{t.rows_per_second:.1f}",
            f"{t.tokens_per_second:,.0f}" if t.tokens_per_second else "",
            *(f"{getattr(t.shares, part):.0%}" if t.shares else "" for part in parts),
            *("" if ms is None else f"{ms:.1f}" for ms in (t.p50_ms, t.p99_ms)),
            "" if t.same_answers is None else f"{t.same_answers:.1%}",
        )
        for t in found.timings
        if t.rows == found.rows
    ]
    print_table(("variant", "way", "texts", "rows/s", "tokens/s", *parts, "p50 ms", "p99 ms", "same"), rows)
    programs = [
        (
            p.variant,
            f"{p.one_seconds:.2f} s",
            megabytes(p.one_peak_bytes),
            f"{p.all_seconds:.1f} s",
            megabytes(p.all_peak_bytes),
            f"{found.share_of_peak[p.variant]:.0%}" if p.variant in found.share_of_peak else "",
        )
        for p in found.programs
    ]
    print_table(("variant", "one text, from nothing", "memory", "all texts", "memory", "of the matrix peak"), programs)
    sys.stdout.write("* chosen\n" + "".join(f"- {line}\n" for line in found.advice))
    if found.page:
        sys.stdout.write(f"page: {found.page}\n")


def _show_tuning(found: Tuning) -> None:
    rows = [row for race in (found.singles, *found.batches) for row in _race_rows(race)]
    print_table(("what varies", "", "rows/s", ""), rows)
    of_batches = prod(race.gain for race in found.batches)
    sys.stdout.write(
        f"{found.variant} on {found.machine.cpu}, {found.machine.cpus:g} CPUs, in {duration(found.seconds)}: single "
        f"texts {_gain(found.singles.gain)}, many {_gain(of_batches)}\n"
        f"predict uses this from now on: {found.file}\n"
    )


def _race_rows(race: Race) -> Iterator[tuple[str, str, str, str]]:
    """What varied, and each value with its rate; the first is what counted before."""
    name = RACES[race.varied]
    for i, trial in enumerate(race.trials):
        value = f"{getattr(trial.settings, race.varied):,}"
        asleep = "" if trial.settings.spinning else ", waiting asleep"
        marks = (("before", i == 0), ("kept", trial.settings == race.kept))
        yield name, f"{value}{asleep}", f"{trial.rows_per_second:.0f}", ", ".join(m for m, holds in marks if holds)


def _gain(times: float) -> str:
    return f"{times:.2f} times as fast as by default" if times > 1 else "as fast as by default"


def _table(certificates: list[tuple[Certificate, str]], task: str, *, chosen: str | None) -> None:
    figures = ("drop, points [95 %]", "changed", "logits ±", "batch ±", "rows/s", "ms alone", "size")
    rows = [
        (
            (f"{c.variant} *" if c.variant == chosen and verdict == "holds" else c.variant)
            + (f"\n({'; '.join(c.remedies)})" if c.remedies else ""),
            f"{c.value:.4f}",
            f"{c.drop_points:+.2f} [{c.drop_low_points:+.2f}, {c.drop_high_points:+.2f}]",
            "–" if task in NUMERIC else f"{c.changed:,} of {c.rows:,}",
            f"{c.max_abs_logit:.2g}",
            f"{c.stability.batch_max_abs_logit:.2g}",
            f"{c.speed.rows_per_second:.0f}",
            f"{c.speed.single_ms:.1f}",
            megabytes(c.size_bytes),
            verdict,
        )
        for c, verdict in certificates
    ]
    print_table(("variant", certificates[0][0].metric, *figures, ""), rows)
    if chosen:
        sys.stdout.write("* chosen\n")
    sys.stdout.write(LEGEND)
    for c, _ in certificates:
        moved = max(c.stability.batch_changed, c.stability.padding_changed)
        if moved:
            sys.stdout.write(
                f"{c.variant}: {moved} of {c.stability.rows} sampled texts get another answer beside other texts or "
                "with padding than alone\n"
            )
