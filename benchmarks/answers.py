"""Reading comprehension: `limbeck build` beside the question-answering example of transformers.

    python benchmarks/answers.py BUNDLE UTILS_QA PEER TRAIN EPOCHS TEST [TEST …]

UTILS_QA is `examples/pytorch/question-answering/utils_qa.py` of a transformers checkout. PEER is a folder: a model that
the example's settings (3e-5, batches of 12, 384 tokens, stride 128; in bf16) made of TRAIN in EPOCHS epochs is trained
there, unless there is one already. Each TEST is answered by both; the time of post-processing is taken on the first,
both from the same logits, the example's from data sets padded as it has them.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import msgspec
import numpy as np
import torch
from common import BASE, show
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

import limbeck
from limbeck.data import Dataset, load_labelled
from limbeck.engines import compute_logits
from limbeck.engines.torch_engine import load_reference
from limbeck.nn.resolve import resolve_base
from limbeck.predictor import Predictor, merge_windows, tokenize
from limbeck.tasks import Answer, Reading
from limbeck.tasks.answer import LONGEST_ANSWER
from limbeck.tasks.spans import judge, normalise
from limbeck.text import Tokens, unit_spans

MAX_TOKENS, STRIDE = 384, 128


def main(bundle: str, utils_qa: str, peer: str, train: str, epochs: str, *tests: str) -> None:
    """Train the peer, answer the tests with both, and print EM, F1 and the times of post-processing."""
    postprocess = _load(utils_qa).postprocess_qa_predictions
    if not Path(peer, "config.json").is_file():
        _train_peer(train, Path(peer), float(epochs))
    predictor = limbeck.load(bundle)
    rows: list[list[object]] = []
    figures = {}
    for test in tests:
        data = _read(test)
        ours = [result.text for result in predictor.predict(_pairs(data))]  # type: ignore[union-attr]
        exact = [result.text for result in _answers_fp32(predictor, data)]
        theirs = _peer_answers(peer, data, postprocess)
        for name, texts in (("limbeck int8", ours), ("limbeck fp32", exact), ("transformers example", theirs)):
            em, f1 = _scores(texts, data)
            rows.append([Path(test).parent.name, name, em, f1])
            figures[f"{Path(test).parent.name}, {name}"] = {"exact_match": em, "f1": f1}
    seconds = _time_postprocessing(predictor, _read(tests[0]), postprocess)
    rows += [["post-processing, s", name, value, ""] for name, value in seconds.items()]
    show("questions answered", ["test", "program", "EM", "F1"], rows, scores=figures, postprocessing_seconds=seconds)


def _load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("utils_qa", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read(path: str) -> Dataset:
    return load_labelled(path, task="answer", labels=())


def _pairs(data: Dataset) -> list[tuple[str, str]]:
    return list(zip(data.texts, data.pairs or (), strict=True))


def _scores(texts: list[str], data: Dataset) -> tuple[float, float]:
    golds = [[normalise(span[2]) for span in label] for label in data.labels]  # type: ignore[union-attr]
    judged = np.array([judge(text, gold) for text, gold in zip(texts, golds, strict=True)])
    return float(judged[:, 1].mean()), float(judged[:, 0].mean())


def _features(tokenizer: Any, data: Dataset) -> Any:
    return tokenizer(
        [text.lstrip() for text in data.texts],
        list(data.pairs or ()),
        truncation="only_second",
        max_length=MAX_TOKENS,
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )


def _context_offsets(features: Any, i: int) -> list[tuple[int, int] | None]:
    """Where the tokens of the context stand; None for the others."""
    return [o if s == 1 else None for o, s in zip(features["offset_mapping"][i], features.sequence_ids(i), strict=True)]


def _train_peer(train: str, folder: Path, epochs: float) -> None:
    data = _read(train)
    base = resolve_base(BASE)
    tokenizer = AutoTokenizer.from_pretrained(base)
    features = _features(tokenizer, data)
    examples = []
    for i, row in enumerate(features["overflow_to_sample_mapping"]):
        start, end = _places(_context_offsets(features, i), data.labels[row])
        names = ("input_ids", "attention_mask", "token_type_ids")
        one = {name: features[name][i] for name in names}
        examples.append(one | {"start_positions": start, "end_positions": end})
    torch.manual_seed(0)
    trainer = Trainer(
        AutoModelForQuestionAnswering.from_pretrained(base),
        TrainingArguments(
            output_dir=str(folder / "run"),
            learning_rate=3e-5,
            per_device_train_batch_size=12,
            num_train_epochs=epochs,
            save_strategy="no",
            report_to=[],
            bf16=True,
            use_cpu=True,
        ),
        train_dataset=examples,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    begun = time.perf_counter()
    trainer.train()
    print(f"trained the peer in {time.perf_counter() - begun:.0f} s")
    trainer.save_model(str(folder))
    tokenizer.save_pretrained(folder)


def _places(offsets: list[tuple[int, int] | None], label: Any) -> tuple[int, int]:
    """The tokens where the first answer starts and ends; 0 where the window lacks it, as the example has it."""
    if not label:
        return 0, 0
    start, end, _ = label[0]
    known = [(i, o) for i, o in enumerate(offsets) if o is not None]
    if not known or not (known[0][1][0] <= start and known[-1][1][1] >= end):
        return 0, 0
    return max(i for i, o in known if o[0] <= start), min(i for i, o in known if o[1] >= end)


def _peer_answers(folder: str, data: Dataset, postprocess: Any) -> list[str]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    features = _features(tokenizer, data)
    count = len(features["input_ids"])
    logits = np.full((2, count, MAX_TOKENS), -1e4, dtype=np.float32)
    names = ("input_ids", "attention_mask", "token_type_ids")
    order = sorted(range(count), key=lambda i: len(features["input_ids"][i]))
    for begin in range(0, count, 32):
        chosen = order[begin : begin + 32]
        batch = tokenizer.pad({name: [features[name][i] for i in chosen] for name in names}, return_tensors="pt")
        with torch.inference_mode():
            output = model(**batch)
        width = batch["input_ids"].shape[1]
        logits[0, chosen, :width], logits[1, chosen, :width] = output.start_logits.numpy(), output.end_logits.numpy()
    windows = [(row, _context_offsets(features, i)) for i, row in enumerate(features["overflow_to_sample_mapping"])]
    return list(postprocess(_as_examples(data), _as_features(windows), (logits[0], logits[1])).values())


def _as_examples(data: Dataset) -> Any:
    return datasets.Dataset.from_dict(
        {"id": [str(i) for i in range(len(data))], "question": data.texts, "context": data.pairs}
    )


def _as_features(windows: list[tuple[int, list[tuple[int, int] | None]]]) -> Any:
    """Windows as the example has them: padded, with all that its model and its post-processing read."""
    padding = [[0] * MAX_TOKENS] * len(windows)
    return datasets.Dataset.from_dict(
        {
            "input_ids": padding,
            "token_type_ids": padding,
            "attention_mask": padding,
            "offset_mapping": [[o and list(o) for o in w] + [None] * (MAX_TOKENS - len(w)) for _, w in windows],
            "example_id": [str(row) for row, _ in windows],
        }
    )


def _tokens(predictor: Predictor, data: Dataset) -> list[Tokens]:
    return tokenize(predictor.tokenizer, predictor.task, data.texts, data.pairs, max_tokens=predictor.model.max_tokens)


def _answers_fp32(predictor: Predictor, data: Dataset) -> list[Any]:
    tokens = _tokens(predictor, data)
    run = load_reference(predictor.bundle).run
    found = compute_logits(run, tokens, pad_id=predictor.model.pad_id, max_tokens=predictor.model.max_tokens)
    assert isinstance(predictor.task, Answer)
    return _decoded(predictor.task, data, tokens, found)


def _decoded(task: Answer, data: Dataset, tokens: list[Tokens], logits: Any) -> list[Any]:
    merged = merge_windows(task, tokens, logits)
    return task.decode(merged, [Reading()] * len(data), data.pairs or [], unit_spans(tokens))


def _time_postprocessing(predictor: Predictor, data: Dataset, postprocess: Any) -> dict[str, float]:
    """Seconds from the logits of windows to the texts of answers, ours and the example's, and how many are the same.

    Medians of five runs each; the answers of both have at most as many tokens as the example allows.
    """
    assert isinstance(predictor.task, Answer)
    task = msgspec.structs.replace(predictor.task, longest=LONGEST_ANSWER)
    tokens = _tokens(predictor, data)
    logits = predictor.logits(tokens)
    spread = np.full((2, len(tokens), MAX_TOKENS), -1e4, dtype=np.float32)
    windows: list[tuple[int, list[tuple[int, int] | None]]] = []
    for i, row in enumerate(tokens):
        assert row.units is not None
        spread[:, i, row.units.positions] = logits[i, : len(row.units.positions)].T
        offsets: list[tuple[int, int] | None] = [None] * len(row)
        for place, number in zip(row.units.positions[1:], row.units.numbers[1:], strict=True):
            offsets[place] = tuple(row.units.spans[number].tolist())
        windows.append((row.row, offsets))
    examples, features = _as_examples(data), _as_features(windows)
    our_seconds = _median_seconds(lambda: _decoded(task, data, tokens, logits))
    their_seconds = _median_seconds(lambda: postprocess(examples, features, (spread[0], spread[1])))
    ours = [answer.text for answer in _decoded(task, data, tokens, logits)]
    theirs = list(postprocess(examples, features, (spread[0], spread[1])).values())
    same = float(np.mean([a == b for a, b in zip(ours, theirs, strict=True)]))
    return {
        "limbeck": our_seconds,
        "transformers example": their_seconds,
        "ratio": their_seconds / our_seconds,
        "same answer": same,
        "questions": float(len(data)),
    }


def _median_seconds(work: Callable[[], object]) -> float:
    return median(timeit.repeat(work, number=1, repeat=5))


if __name__ == "__main__":
    main(*sys.argv[1:])
