from __future__ import annotations

from dataclasses import asdict

import msgspec
import pytest

from limbeck.bundle import Manifest
from limbeck.measure.contest import Compiled, Standing
from limbeck.report import page
from limbeck.report.worth import ALONE, BASELINE, STUDENT, TEACHER, standings_of, worth_lines, worth_sentences

from .made_up import classify, manifest_of
from .test_page import read


def standing(name: str, score: float, low: float, high: float, parameters: int = 10) -> Standing:
    compiled = {"fp32": Compiled(120.0, 90_000_000)} if name == TEACHER else {}
    return Standing(
        name=name,
        score=score,
        ahead_points=100 * (score - 0.9),
        ahead_low=low,
        ahead_high=high,
        parameters=parameters,
        compiled=compiled,
    )


US = [standing(TEACHER, 0.92, 1.0, 3.0, 20), standing(STUDENT, 0.9, 0.0, 0.0)]


def test_what_is_kept_is_said() -> None:
    (kept,) = worth_sentences(US, "accuracy")
    assert kept == "The student keeps 97.8 % of its teacher's accuracy, 0.9200, with 50 % of its parameters."


def test_of_scores_that_have_no_share_both_are_said() -> None:
    (said,) = worth_sentences([standing(TEACHER, -0.1, -1, 1), standing(STUDENT, 0.9, 0, 0)], "spearman")
    assert said == "Spearman's ρ: teacher -0.1000, student 0.9000 with 100 % of its parameters."


@pytest.mark.parametrize(
    ("alone", "said"),
    [
        (standing(ALONE, 0.88, -3.0, -1.0), "2.00 points less than the student [−3.00 to −1.00]: the teacher was"),
        (standing(ALONE, 0.91, 0.5, 1.5), "+1.00 points [+0.50 to +1.50]: it is BETTER without the teacher"),
        (standing(ALONE, 0.88, -3.0, 0.2), "−2.00 points [−3.00 to +0.20]: these rows do not show that"),
        (standing(BASELINE, 0.9, -1.0, 1.0), "scores 0.9000: the student, 0.9000, is NO BETTER. Use that"),
        (standing(BASELINE, 0.8, -12.0, -8.0), "scores 0.8000: 10.00 points less than the student"),
    ],
)
def test_the_others_are_judged_by_their_intervals(alone: Standing, said: str) -> None:
    assert said in list(worth_sentences([*US, alone], "accuracy"))[1]


def test_side_by_side_on_a_terminal() -> None:
    head, teacher, student, *_ = worth_lines(US, "accuracy")
    assert head.split() == ["accuracy", "against", "the", "student", "kept", "parameters"]
    assert teacher.split() == ["teacher", "0.9200", "+2.00", "[+1.00,", "+3.00]", "100.0", "%", "20"]
    assert student.split() == ["student", "0.9000", "97.8", "%", "10"]


def distilled() -> Manifest:
    manifest = manifest_of(classify())
    record = {
        "teacher": "big",
        "teacher_parameters": 20,
        "teacher_scores": {"test": {manifest.task.metric: 0.92}},
        "shape": "3 layers x 384",
        "objective": {"soft": 1.0},
        "retention": {},
        "standings": [asdict(s) for s in [*US, standing(ALONE, 0.88, -3.0, -1.0)]],
    }
    return msgspec.structs.replace(manifest, training={**manifest.training, "distillation": record})


def test_the_report_has_it_first_with_the_speeds_of_what_was_compiled() -> None:
    manifest = distilled()
    found = {s.name: s for s in standings_of(manifest)}
    own = {v.certificate.precision: v.certificate for v in manifest.variants if v.certificate}
    assert found[STUDENT].compiled == found[ALONE].compiled
    assert found[STUDENT].compiled["int8"].size_bytes == own["int8"].size_bytes
    text = page(manifest, name="small", judged=None)
    read(text)
    part = text[text.index('<section id="worth">') : text.index('<section id="variants">')]
    assert "Was it worth it?" in part
    assert "the teacher was worth it" in part
    assert "90.0 MB" in part  # the teacher's


def test_a_model_that_nobody_taught_has_no_such_section() -> None:
    assert standings_of(manifest_of(classify())) == []
    assert "Was it worth it?" not in page(manifest_of(classify()), name="plain", judged=None)
