from __future__ import annotations

import re

import msgspec
import pytest
import yaml

from limbeck.report import card
from limbeck.report.card import markdown
from limbeck.tasks import AnyTask, Regress

from .made_up import HOSTILE, classify, manifest_of, multilabel

TASKS: list[AnyTask] = [classify(), multilabel(), Regress()]


def front_matter(text: str) -> dict[str, object]:
    _, front, _ = text.split("---\n", 2)
    found = yaml.safe_load(front)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("task", "metric"), list(zip(TASKS, ("accuracy", "f1", "spearmanr"), strict=True)))
def test_the_front_matter_is_yaml_that_the_hub_knows(task: AnyTask, metric: str) -> None:
    front = front_matter(card(manifest_of(task), name="reviews"))
    assert front["library_name"] == "transformers"
    assert front["pipeline_tag"] == "text-classification"
    assert front["metrics"] == [metric]
    assert "license" not in front
    assert "base_model" not in front  # a package's weights are no repository of the hub


def test_a_base_from_the_hub_is_named() -> None:
    manifest = manifest_of(classify())
    model = msgspec.structs.replace(manifest.model, base="google-bert/bert-base-uncased")
    front = front_matter(card(msgspec.structs.replace(manifest, model=model), name="m"))
    assert front["base_model"] == "google-bert/bert-base-uncased"


def test_a_head_of_ours_is_not_promised_to_transformers() -> None:
    manifest = manifest_of(classify())
    model = msgspec.structs.replace(manifest.model, pooling="mean")
    text = card(msgspec.structs.replace(manifest, model=model), name="m")
    assert front_matter(text)["library_name"] == "limbeck"
    assert "AutoModelForSequenceClassification" not in text
    assert "head.safetensors" in text


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
@pytest.mark.parametrize("pair", [False, True])
def test_the_snippets_are_python(task: AnyTask, pair: bool) -> None:
    text = card(manifest_of(task, pair=pair), name="m")
    snippets = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    assert len(snippets) == 3
    for snippet in snippets:
        compile(snippet, "README.md", "exec")


def test_every_variant_has_a_line_and_the_refused_say_so() -> None:
    lines = [line for line in card(manifest_of(classify()), name="m").splitlines() if line.startswith("| onnx")]
    assert len(lines) == 4
    assert [line.count("|") for line in lines] == [9] * 4
    assert "**chosen**" in lines[1]
    assert sum("refused, over 0.5 points" in line for line in lines) == 2


def test_hostile_names_stay_text() -> None:
    text = card(manifest_of(classify()), name=HOSTILE)
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "\u202e" not in text
    assert "limbeck predict BUNDLE" in text  # such a name is not put into a command line


def test_markdown_is_escaped() -> None:
    assert markdown("a | b\n*c* [d](e) `f` <g> #h _i_") == r"a \| b \*c\* \[d\](e) \`f\` &lt;g&gt; \#h \_i\_"


def test_without_a_compiled_variant_there_is_no_table() -> None:
    bare = msgspec.structs.replace(manifest_of(classify()), variants=(), refused=(), chosen=None)
    text = card(bare, name="m")
    assert "## Variants" not in text
    assert "not compiled yet" in text
