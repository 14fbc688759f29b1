"""Whether a distillation was worth it: in sentences, as a table of text, and as the report's section."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from limbeck.bundle import Manifest
from limbeck.console import megabytes
from limbeck.measure.contest import Compiled, Standing
from limbeck.report.facts import metric_name, points
from limbeck.report.html import Html, el, join, table

STUDENT, TEACHER, ALONE = "student", "teacher", "same student, no teacher"
BASELINE = "TF-IDF, logistic regression"


def standings_of(manifest: Manifest) -> list[Standing]:
    """The student and those it was compared with, the student with its compiled variants; empty where nobody was."""
    taught: dict[str, Any] = manifest.training.get("distillation") or {}
    found = msgspec.convert(taught.get("standings", []), list[Standing])
    own = compiled_variants(manifest)
    return [replace(s, compiled=own) if s.name in (STUDENT, ALONE) else s for s in found]


def compiled_variants(manifest: Manifest) -> dict[str, Compiled]:
    """The fastest proven variant of a bundle in each precision; what int8 leaves may be computed in bf16."""
    proven = [variant.certificate for variant in manifest.variants if variant.certificate]
    slowest_first = sorted(proven, key=lambda c: c.speed.rows_per_second)
    return {c.precision.removesuffix("-bf16"): Compiled(c.speed.rows_per_second, c.size_bytes) for c in slowest_first}


def worth_sentences(found: list[Standing], metric: str) -> Iterator[str]:
    """What the student keeps of its teacher, what the teacher gave, and whether words alone would do."""
    by_name = {standing.name: standing for standing in found}
    student, teacher = by_name[STUDENT], by_name[TEACHER]
    name = metric_name(metric)
    share = f"{100 * student.parameters / teacher.parameters:.0f} % of its parameters"
    if kept := _kept(student, teacher):
        yield f"The student keeps {kept} of its teacher's {name}, {teacher.score:.4f}, with {share}."
    else:
        yield f"{name}: teacher {teacher.score:.4f}, student {student.score:.4f} with {share}."
    if alone := by_name.get(ALONE):
        yield _alone_sentence(alone, name)
    if words := by_name.get(BASELINE):
        if words.ahead_points >= 0:
            yield (
                f"{BASELINE}, without any encoder, scores {words.score:.4f}: the student, {student.score:.4f}, is NO "
                "BETTER. Use that, or a larger student."
            )
        else:
            yield f"{BASELINE}, without any encoder, scores {words.score:.4f}: {_points_below(words)}."


def _alone_sentence(alone: Standing, name: str) -> str:
    reached = f"The same student fine-tuned without a teacher has {name} {alone.score:.4f}"
    if alone.ahead_high < 0:
        return f"{reached}, {_points_below(alone)}: the teacher was worth it."
    if alone.ahead_low > 0:
        return f"{reached}, {points(alone.ahead_points)} points [{_interval(alone)}]: it is BETTER without the teacher."
    return (
        f"{reached}, {points(alone.ahead_points)} points [{_interval(alone)}]: these rows do not show that the teacher "
        "helped."
    )


def _points_below(standing: Standing) -> str:
    return f"{-standing.ahead_points:.2f} points less than the student [{_interval(standing)}]"


def _interval(standing: Standing) -> str:
    return f"{points(standing.ahead_low)} to {points(standing.ahead_high)}"


def _kept(standing: Standing, teacher: Standing) -> str:
    return f"{100 * standing.score / teacher.score:.1f} %" if min(standing.score, teacher.score) > 0 else ""


def worth_lines(found: list[Standing], metric: str) -> Iterator[str]:
    """Teacher, student and the others side by side, then the sentences, for a terminal."""
    teacher = next(standing for standing in found if standing.name == TEACHER)
    yield f"{'':<28}{metric:>14}   {'against the student':<26}{'kept':>8}{'parameters':>14}"
    for s in found:
        ahead = "" if s.name == STUDENT else f"{s.ahead_points:+.2f} [{s.ahead_low:+.2f}, {s.ahead_high:+.2f}]"
        yield f"{s.name:<28}{s.score:>14.4f}   {ahead:<26}{_kept(s, teacher):>8}{s.parameters:>14,}"
    yield from worth_sentences(found, metric)


def worth_section(manifest: Manifest) -> Html:
    """The sentences, and everyone's score, interval, parameters, speeds and sizes."""
    found, metric = standings_of(manifest), manifest.task.metric
    teacher = next(standing for standing in found if standing.name == TEACHER)
    head = ("", metric_name(metric), "ahead of the student, points", "kept", "parameters", "fp32", "int8")
    return join(
        [
            *(el("p", line) for line in worth_sentences(found, metric)),
            table(head, (_row(standing, teacher) for standing in found)),
            el("p", _NOTE, class_="note"),
        ]
    )


_NOTE = (
    "All on the same held-out rows, in fp32; 95 % intervals by paired bootstrap. Speeds and sizes are those of each "
    "one's compiled variants, measured when it was compiled; without a teacher they are the student's own. Sizes of "
    "encoders are those of the ONNX file."
)


def _row(s: Standing, teacher: Standing) -> tuple[object, ...]:
    ahead = "–" if s.name == STUDENT else f"{points(s.ahead_points)} [{_interval(s)}]"
    compiled = (_speed_and_size(s.compiled.get(precision)) for precision in ("fp32", "int8"))
    return (s.name, f"{s.score:.4f}", ahead, _kept(s, teacher) or "–", f"{s.parameters:,}", *compiled)


def _speed_and_size(variant: Compiled | None) -> str:
    return f"{variant.rows_per_second:,.0f} rows/s, {megabytes(variant.size_bytes)}" if variant else "–"
