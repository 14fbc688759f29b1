"""Other programs that answer with the same weights, where they are installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from limbeck.bundle import Head
from limbeck.errors import UsageError
from limbeck.measure.benchmark import Timing
from limbeck.predictor import Predictor, Text
from limbeck.tasks import Result
from limbeck.tasks.results import Classification

Peer = Literal["transformers", "sentence-transformers", "optimum-intel"]
Answering = Callable[[Sequence[Text], int], list[Any]]  # the answers to texts, in batches of so many
BATCH = 32

_PIPELINES = {"classify": "text-classification", "multilabel": "text-classification", "tag": "token-classification"}
_TASKS: dict[Peer, tuple[str, ...]] = {
    "transformers": tuple(_PIPELINES),
    "sentence-transformers": ("embed",),
    "optimum-intel": tuple(_PIPELINES),
}


def peers_of(named: Sequence[str], task: str, head: Head) -> list[Peer]:
    """The peers that `--against` names, one or several by commas each time.

    Raises `UsageError` for one that is unknown, not installed, or has nothing for the task or the head.
    """
    peers: list[Peer] = []
    for name in ",".join(named).split(",") if named else ():
        peer = next((known for known in _TASKS if known == name.strip()), None)
        if peer is None:
            raise UsageError(f"--against {name}: unknown; expected {', '.join(_TASKS)}")
        try:
            version(peer)
        except PackageNotFoundError:
            raise UsageError(f"--against {peer}: it is not installed: pip install {peer}") from None
        if task not in _TASKS[peer]:
            able = " or ".join(other for other, tasks in _TASKS.items() if task in tasks)
            raise UsageError(f"--against {peer}: it has nothing for the task {task}{able and f': try {able}'}")
        if task in _PIPELINES and head in ("cls", "mean"):
            raise UsageError(
                f"--against {peer}: the head of this bundle, on {head} pooling, is limbeck's own: {peer} does not read "
                "it and would answer with a random one"
            )
        peers.append(peer)
    return peers


def load_peers(peers: Sequence[Peer], predictor: Predictor, texts: Sequence[Text]) -> dict[Peer, Answering]:
    """The peers with the fp32 weights of the bundle, each having answered the first of the texts: that is slower.

    Raises `UsageError` for one that cannot.
    """
    loaded = {}
    for peer in peers:
        try:
            loaded[peer] = _LOAD[peer](predictor)
            loaded[peer](texts[:8], BATCH)
        except Exception as error:
            raise UsageError(f"--against {peer}: it cannot answer with {predictor.bundle.folder}: {error}") from error
    return loaded


def time_peers(peers: Mapping[Peer, Answering], texts: Sequence[Text], answers: Sequence[Result]) -> Iterator[Timing]:
    """Each peer on these texts, one by one and in batches of 32; `answers` are those of `predict`."""
    for peer, answer in peers.items():
        for size in (1, BATCH):
            start = time.perf_counter()
            labels = answer(texts, size)
            seconds = time.perf_counter() - start
            way = "single" if size == 1 else f"batch {size}"
            same = _agreement(labels, answers)
            yield Timing(peer, way, len(texts), seconds, len(texts) / seconds, same_answers=same)


def _transformers(predictor: Predictor) -> Answering:
    from transformers import pipeline

    task = _PIPELINES[predictor.task.name]
    return _through(pipeline(task, model=str(predictor.bundle.folder), device="cpu"), task, predictor)


def _optimum_intel(predictor: Predictor) -> Answering:
    from optimum.intel import OVModelForSequenceClassification, OVModelForTokenClassification
    from transformers import AutoTokenizer, pipeline

    task, folder = _PIPELINES[predictor.task.name], str(predictor.bundle.folder)
    kind = OVModelForTokenClassification if task == "token-classification" else OVModelForSequenceClassification
    model = kind.from_pretrained(folder, export=True)
    return _through(pipeline(task, model=model, tokenizer=AutoTokenizer.from_pretrained(folder)), task, predictor)


def _through(pipe: Any, task: str, predictor: Predictor) -> Answering:
    """Answers of a pipeline of transformers."""
    said = {} if task == "token-classification" else {"truncation": True, "max_length": predictor.model.max_tokens}

    def answer(texts: Sequence[Text], size: int) -> list[Any]:
        given = [{"text": t[0], "text_pair": t[1]} if isinstance(t, tuple) else t for t in texts]
        return [found["label"] if isinstance(found, dict) else None for found in pipe(given, batch_size=size, **said)]

    return answer


def _sentence_transformers(predictor: Predictor) -> Answering:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(predictor.bundle.folder), device="cpu")
    model.max_seq_length = predictor.model.max_tokens
    return lambda texts, size: list(model.encode(list(texts), batch_size=size, show_progress_bar=False))


_LOAD: dict[Peer, Callable[[Predictor], Answering]] = {
    "transformers": _transformers,
    "sentence-transformers": _sentence_transformers,
    "optimum-intel": _optimum_intel,
}


def _agreement(labels: Sequence[Any], answers: Sequence[Result]) -> float | None:
    """The share of texts with the same label; None where answers are no labels."""
    ours = [answer.label for answer in answers if isinstance(answer, Classification)]
    if len(ours) != len(labels):
        return None
    return sum(bool(a == b) for a, b in zip(ours, labels, strict=True)) / len(ours)
