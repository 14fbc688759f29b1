"""Bundle → predictions, without PyTorch: tokenise, window, batch, run, merge, decode."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.bundle import REFERENCE, Bundle, Variant, check_files, open_bundle
from limbeck.data import Dataset
from limbeck.engines import Engine, compute_logits
from limbeck.engines.load import is_installed, load_engine
from limbeck.engines.settings import DEFAULT, Device, Settings
from limbeck.errors import CheckFailed, UsageError
from limbeck.files import remove_unused, user_cache
from limbeck.tasks import Answer, AnyTask, Embed, Logits, Reading, Result, Tag
from limbeck.text import OnLong, Tokenizer, Tokens, UnitKind, unit_spans
from limbeck.tuning import Objective, settings_for

Text = str | tuple[str, str] | list[str]


class Prepared(NamedTuple):
    """Texts in tokens, windows of a text together, and the texts that spans of answers are cut from."""

    tokens: list[Tokens]
    texts: list[str]


class Predictor:
    """A loaded bundle that answers texts. Safe to call from several threads."""

    def __init__(self, bundle: Bundle, variant: Variant, engine: Engine, settings: Settings = DEFAULT) -> None:
        self.bundle = bundle
        self.variant = variant
        self.task: AnyTask = bundle.manifest.task
        self.model = bundle.manifest.model
        self.tokenizer = Tokenizer(bundle.tokenizer_file)
        self.settings = settings
        self._engine = engine

    def predict(
        self,
        texts: Sequence[Text],
        *,
        on_long: OnLong | None = None,
        on_batch: Callable[[int], None] = lambda rows: None,
    ) -> list[Result]:
        """One result a text, in order.

        `texts` are strings, or `(text, pair)` tuples for a model of pairs. A tagger also takes lists of words, which
        are joined by spaces. A text longer than the model reads is cut and the cut counted in the result (`truncate`),
        read in overlapping windows that are merged (`window`), or refused (`error`); None takes what suits the task,
        windows for a tagger and a reader of contexts, and the cut for all others.

        Raises `UsageError` for one string, wrong types or empty texts, `TooLong` under `error`, and `CheckFailed` where
        the variant gives no numbers on this CPU.
        """
        prepared = self.prepare(texts, on_long=on_long)
        return self.decode(prepared, self.logits(prepared.tokens, on_batch=on_batch))

    def prepare(self, texts: Sequence[Text], *, on_long: OnLong | None = None) -> Prepared:
        """Texts as the model reads them, the first stage of `predict`; `logits` and `decode` are the others."""
        firsts, seconds = self._split(texts)
        limit = self.model.max_tokens
        tokens = tokenize(self.tokenizer, self.task, firsts, seconds, max_tokens=limit, on_long=on_long)
        return Prepared(tokens, firsts if seconds is None else seconds)

    def logits(self, tokens: Sequence[Tokens], *, on_batch: Callable[[int], None] = lambda rows: None) -> Logits:
        """Logits `[rows, outputs]` of tokenised rows, windows not merged.

        Raises `CheckFailed` where one is no number, which a certificate cannot rule out on another CPU.
        """
        logits = compute_logits(
            self._engine.run,
            tokens,
            pad_id=self.model.pad_id,
            max_tokens=self.model.max_tokens,
            settings=self.settings,
            on_batch=on_batch,
        )
        if np.isnan(logits).any():
            wrong = np.isnan(logits).any(axis=tuple(range(1, logits.ndim))).sum()
            others = [f"--variant {other.name}" for other in self.bundle.manifest.variants if other != self.variant]
            raise CheckFailed(
                f"variant {self.variant.name} gave no numbers for {wrong:,} of {len(tokens):,} texts on this CPU: "
                f"{' or '.join([*others, 'limbeck compress on this machine'])} may do better"
            )
        return logits

    def decode(self, prepared: Prepared, logits: Logits) -> list[Result]:
        """One result a text, of the logits of its windows."""
        tokens = prepared.tokens
        if not tokens:
            return []
        merged = merge_windows(self.task, tokens, logits)
        if isinstance(self.task, Tag | Answer):
            return list(self.task.decode(merged, _readings(tokens), prepared.texts, unit_spans(tokens)))
        return self.task.decode(merged, _readings(tokens))

    def _split(self, texts: Sequence[Text]) -> tuple[list[str], list[str] | None]:
        if isinstance(texts, str):
            raise UsageError("predict takes a list of texts, not one string: predict([text])")
        reads, expected = ("pairs", "a (text, pair) tuple") if self.model.pair else ("single texts", "a string")
        firsts, seconds, wrong = [], [], []
        for number, given in enumerate(texts, start=1):
            item = _joined(given) if self.task.name == "tag" else given
            parts: Sequence[Any] = item if self.model.pair and isinstance(item, tuple | list) else (item,)
            if len(parts) != 1 + self.model.pair or not all(map(_is_text, parts)):
                wrong.append(f"text {number} is {item!r:.60}")
                continue
            firsts.append(parts[0])
            seconds.append(parts[-1])
        if wrong:
            shown = "; ".join(wrong[:20]) + (f" and {len(wrong) - 20} more" if len(wrong) > 20 else "")
            raise UsageError(f"this model reads {reads}: each text must be {expected} that is not empty: {shown}")
        return firsts, seconds if self.model.pair else None


def load(
    path: str | Path,
    *,
    variant: str | None = None,
    threads: int | None = None,
    max_tokens: int | None = None,
    objective: Objective = "latency",
    device: Device = "cpu",
) -> Predictor:
    """Load a bundle for prediction: the variant named, or the chosen one, and where its engine is not installed the
    fastest of the others that hold.

    `threads` is the number of compute threads; None takes what the CPU quota and affinity allow.
    `max_tokens` is the most to read of a text; None takes what the model was trained with. `objective` says what it is
    for, single texts (`latency`) or many in a call (`throughput`); it matters once `limbeck tune` found how this
    machine does either fastest. On the `device` cuda the variant onnx-fp32 answers unless another is named.

    What is loaded is checked against its hash: the tokenizer and the variant's files, or, for `pytorch-fp32`, all but
    those of compiled variants. The others need only be there.

    Raises `BundleError` for a folder that is no whole bundle and `UsageError` for a variant it has not.
    """
    bundle = open_bundle(path).reading(max_tokens)
    chosen = bundle.variant(variant or ("onnx-fp32" if device == "cuda" else None))
    if variant is None and not is_installed(chosen.engine):
        chosen = _fastest_installed(bundle) or chosen
    # What is not loaded need not be read: the weights for training are often most of a bundle.
    needed = {bundle.tokenizer_file.name, *chosen.files}
    check_files(bundle, bundle.manifest.trained_files if chosen.name == REFERENCE else needed)
    settings = settings_for(bundle, chosen, objective, threads, device)
    engine = load_engine(bundle.folder, chosen, settings, cache=_compiled_folder(bundle, chosen))
    return Predictor(bundle, chosen, engine, settings)


def _compiled_folder(bundle: Bundle, variant: Variant) -> Path:
    """Where an engine keeps what it compiled of these very files, for not every engine looks at the weights again.

    What was compiled of others and not used in a long time makes room.
    """
    hashes = [bundle.manifest.files.get(name, "") for name in variant.files]
    folder = user_cache() / "compiled" / hashlib.sha256("".join(hashes).encode()).hexdigest()[:32]
    with suppress(OSError):  # there is none yet, or it may not be written to
        if folder.is_dir():
            os.utime(folder)
        remove_unused(folder.parent.iterdir())
    return folder


def _fastest_installed(bundle: Bundle) -> Variant | None:
    able = [
        (certificate.speed.rows_per_second, variant.name)
        for variant in bundle.manifest.variants
        if is_installed(variant.engine) and (certificate := variant.certificate) and certificate.holds
    ]
    return bundle.variant(max(able)[1]) if able else None


def _joined(text: Text) -> Text:
    """A list of words as one text."""
    return " ".join(text) if isinstance(text, list) and all(isinstance(word, str) for word in text) else text


def tokenize(
    tokenizer: Tokenizer,
    task: AnyTask,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    *,
    max_tokens: int,
    on_long: OnLong | None = None,
) -> list[Tokens]:
    """Texts as a task's model reads them: for a tagger with words, for answers with the pieces of contexts.

    Both read long ones in windows by default.
    """
    units = _UNITS.get(task.name)
    usual: OnLong = "window" if units else "truncate"
    return tokenizer.encode(texts, pairs, max_tokens=max_tokens, on_long=on_long or usual, units=units)


_UNITS: dict[str, UnitKind] = {"tag": "words", "answer": "context"}


def labelled_inputs(task: AnyTask, dataset: Dataset) -> tuple[list[str], list[str] | None]:
    """The texts of labelled rows and their pairs as the task's model reads them.

    An embedder reads every text by itself: all first texts, then all second ones, then the third ones of triplets.
    """
    if not isinstance(task, Embed):
        return dataset.texts, dataset.pairs
    thirds = [str(label) for label in dataset.labels] if task.learnt_from == "triplets" else []
    return [*dataset.texts, *(dataset.pairs or ()), *thirds], None


def labelled_logits(task: AnyTask, tokens: Sequence[Tokens], logits: Logits) -> Logits:
    """Logits `[rows, outputs]` of labelled rows, from those of all windows of all texts that `labelled_inputs` gave."""
    merged = merge_windows(task, tokens, logits)
    return task.side_by_side(merged) if isinstance(task, Embed) else merged


def encode_labels(task: AnyTask, dataset: Dataset, tokens: Sequence[Tokens]) -> NDArray[np.generic]:
    """Labels as a task's targets, one a row; where units are answered they also depend on where those stand."""
    if isinstance(task, Tag):
        return task.encode(dataset.labels, unit_spans(tokens))
    if isinstance(task, Answer):
        return task.encode(dataset.labels, dataset.pairs or (), unit_spans(tokens))
    return task.encode(dataset.labels)


def _is_text(value: object) -> bool:
    """A string that is not empty and that UTF-8 can write: half a surrogate pair is no character."""
    return isinstance(value, str) and bool(value.strip()) and value.encode("utf-8", "ignore").decode() == value


def merge_windows(task: AnyTask, tokens: Sequence[Tokens], logits: Logits) -> Logits:
    """Logits of texts `[texts, outputs]` from those of their windows `[windows, outputs]`, in order."""
    rows = [t.row for t in tokens]
    if len(set(rows)) == len(rows):
        return logits
    if isinstance(task, Tag | Answer):
        return _merge_units(task, tokens, logits)
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    weights = np.array([len(t) for t in tokens], dtype=np.float32)
    ends = [*starts[1:], len(rows)]
    return np.stack([task.merge(logits[a:b], weights[a:b]) for a, b in zip(starts, ends, strict=True)])


def _merge_units(task: Tag | Answer, tokens: Sequence[Tokens], logits: Logits) -> Logits:
    """Logits of the units of whole texts, each from the window in which it has most context on its shorter side.

    For answers each of several windows is measured by its own unit 0, which stands for no answer in it.
    """
    spans = unit_spans(tokens)
    merged = np.full((len(spans), max(map(len, spans)), logits.shape[2]), -np.inf, dtype=np.float32)
    rows = np.array([t.row for t in tokens])
    text = np.cumsum(np.diff(rows, prepend=rows[:1]) != 0)
    alone = np.bincount(text)[text] == 1  # the units of a window alone are those of its text, in order
    units = min(merged.shape[1], logits.shape[1])
    merged[text[alone], :units] = logits[alone, :units]
    contexts: dict[int, NDArray[np.int64]] = {}
    for window in np.flatnonzero(~alone).tolist():
        t, row, found = tokens[window], text[window], logits[window]
        if t.units is not None:
            numbers = t.units.numbers
            here = np.minimum(t.units.positions, len(t) - 1 - t.units.positions)
            context = contexts.setdefault(row, np.full(len(spans[row]), -1))
            better = here > context[numbers]
            context[numbers[better]] = here[better]
            none = found[0] if isinstance(task, Answer) else 0
            merged[row, numbers[better]] = found[: len(numbers)][better] - none
    return merged


def _readings(tokens: Sequence[Tokens]) -> list[Reading]:
    readings: list[Reading] = []
    last_row = -1
    for t in tokens:
        if t.row == last_row:
            before = readings.pop()
            readings.append(Reading(before.tokens + len(t), t.truncated_tokens, before.windows + 1))
        else:
            readings.append(Reading(len(t), t.truncated_tokens, 1))
        last_row = t.row
    return readings
