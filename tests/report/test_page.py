from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import msgspec
import pytest

from limbeck.bundle import Manifest
from limbeck.report import Judged, page
from limbeck.tasks import AnyTask, Embed, Regress

from .made_up import HOSTILE, classify, judged_of, manifest_of, multilabel

VECTORS = [Embed("scored"), Embed("pairs"), Embed("triplets")]
TASKS: list[AnyTask] = [classify(2), classify(3), classify(20), classify(60), multilabel(), Regress(), *VECTORS]
VOID = {"meta"}
SVG_VOID = {"path", "use", "rect"}


class Reader(HTMLParser):
    """Checks that elements nest and gathers what a page loads, its ids and its words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "data", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


def written(task: AnyTask) -> str:
    return page(manifest_of(task), name="reviews", judged=judged_of(task))


@pytest.mark.parametrize("task", TASKS, ids=lambda t: f"{t.name}-{len(t.labels)}-{t.metric}")
def test_a_page_is_whole_and_loads_nothing(task: AnyTask) -> None:
    text = written(task)
    reader = read(text)
    assert not {"script", "link", "img", "iframe", "object"} & reader.tags
    assert reader.links
    assert all(link.startswith("#") for link in reader.links)
    assert {link[1:] for link in reader.links} <= set(reader.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(reader.ids)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert len(reader.ids) == len(set(reader.ids))


@pytest.mark.parametrize("task", TASKS, ids=lambda t: f"{t.name}-{len(t.labels)}-{t.metric}")
def test_a_hostile_text_is_text(task: AnyTask) -> None:
    text = written(task)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\x00" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("task", TASKS, ids=lambda t: f"{t.name}-{len(t.labels)}-{t.metric}")
def test_the_same_again(task: AnyTask) -> None:
    assert written(task) == written(task)


def drawings(text: str) -> list[str]:
    return re.findall(r'<svg [^>]*aria-label="([^"]*)"', text)


def test_few_labels_are_drawn_as_a_matrix() -> None:
    text = written(classify(20))
    assert "Confusion matrix: true labels against answers" in drawings(text)
    assert "Confidence against accuracy" in drawings(text)
    assert "Expected calibration error" in text
    assert "Most confused" not in text


def test_many_labels_are_listed_with_the_most_confused_pairs() -> None:
    text = written(classify(60))
    assert "Confusion matrix: true labels against answers" not in drawings(text)
    assert "Most confused" in text
    assert "label number 59" in text
    assert "The 40 commonest of 60 labels." in text


def test_multilabel_shows_thresholds() -> None:
    text = written(multilabel())
    assert '<th class="n">threshold</th>' in text
    assert "0.21" in text
    assert "Confidence against accuracy" not in drawings(text)


def test_regress_shows_residuals_and_what_moved() -> None:
    text = written(Regress())
    assert {"Predicted against true numbers", "Predicted minus true"} <= set(drawings(text))
    assert "The 20 that moved most." in text
    assert "answers changed" not in text
    assert "Training rows of each label" not in drawings(text)


def test_every_task_shows_variants_training_and_data() -> None:
    for task in TASKS:
        words = "".join(read(written(task)).words)
        for part in ("Variants", "Changed answers", "Training", "Data", "How it was made"):
            assert part in words
        assert "stopped early" in words
        assert "yes, after 1 evaluation without a better one" in words
        assert "Cut at 64: 3 training rows (0.31 %)." in words
        assert "limbeck verify reviews" in words


def test_the_verdict_names_the_variant_its_loss_and_its_gain() -> None:
    words = "".join(read(written(classify())).words)
    assert "onnx-int8 was chosen: accuracy 0.9083 on 120 held-out rows, 0.17 points less than" in words
    assert "95 % interval: \u22120.23 to +0.77" in words
    assert "3 of 120 answers changed" in words
    assert "2.3 times as fast as fp32 ONNX" in words
    assert "25 % of the 90.9 MB" in words
    assert "120 rows prove little either way" in words
    assert "120 rows cannot rule out one of 0.77 points" in words


def test_refused_variants_are_shown_with_their_remedies() -> None:
    text = written(classify())
    assert text.count(">refused</span>") == 2
    assert "kept in fp32: /encoder/layer.0/&lt;MatMul&gt;" in text
    assert "Remedies tried" not in page(manifest_of(classify(), refused=False), name="m", judged=None, missing="gone")


def test_no_chosen_variant_is_said() -> None:
    text = page(manifest_of(classify(), chosen=None), name="m", judged=judged_of(classify()))
    assert "No variant holds its budget, so none is chosen: the nearest, onnx-int8, lost 1.50 points" in text
    assert "so there are no answers to compare" in text


def test_nothing_compiled_is_said() -> None:
    bare = msgspec.structs.replace(manifest_of(classify()), variants=(), refused=(), chosen=None)
    text = page(bare, name="m", judged=None, missing="nothing is compiled yet")
    assert "not compiled yet" in text
    assert read(text).links


def changed(manifest: Manifest, judged: Judged | None, missing: str = "") -> str:
    text = page(manifest, name="m", judged=judged, missing=missing)
    return text[text.index('id="changed"') : text.index('id="quality"')]


def test_changed_rows_have_the_users_row_numbers_and_texts() -> None:
    part = changed(manifest_of(classify()), judged_of(classify()))
    rows = re.findall(r"<tr><td>(\d+)</td>", part)
    assert rows == ["2", "5", "7"]  # held-out rows 0, 3 and 5; the user's first row is line 2
    assert "text 3 of the held-out rows" in part
    assert "Row numbers are those of /data/reviews.csv." in part


def test_both_texts_of_a_pair_are_shown() -> None:
    part = changed(manifest_of(classify(), pair=True), judged_of(classify(), pair=True))
    assert "| second text 3" in part


def test_missing_rows_are_said_and_the_rest_is_there() -> None:
    text = page(manifest_of(classify()), name="m", judged=None, missing="the file is gone")
    assert "The texts are not shown, because the file is gone." in text
    assert "No confusion, label or residual figures: the file is gone." in text
    assert "Training loss over epochs" in drawings(text)


def test_other_rows_than_the_certificates_are_not_shown_as_changed() -> None:
    other = replace(judged_of(classify()), sha256="0" * 64)
    part = changed(manifest_of(classify()), other)
    assert "the rows read now are not those of the certificate" in part
    assert "text 3 of the held-out rows" not in part


def test_no_changed_answer_is_said() -> None:
    manifest = manifest_of(classify(), chosen="onnx-fp32")
    part = changed(manifest, judged_of(classify()))
    assert "onnx-fp32 answers all 120 held-out rows as fp32 does; of other texts like them, fewer than 2.5 %" in part


def test_training_without_records_is_said() -> None:
    bare = msgspec.structs.replace(manifest_of(classify()), training={})
    assert "No training is recorded." in page(bare, name="m", judged=None, missing="gone")


def test_a_name_is_escaped() -> None:
    assert "<script" not in page(manifest_of(Regress()), name=HOSTILE, judged=None, missing=HOSTILE)
