"""The rows that a bundle is judged on: those set aside when it was trained, or new ones."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from limbeck.bundle import Bundle
from limbeck.console import say
from limbeck.data import Columns, Dataset, load_labelled, load_splits
from limbeck.data.columns import named_in_training
from limbeck.data.records import USUAL
from limbeck.data.sampling import JUDGED_ROWS, at_most
from limbeck.errors import DataError
from limbeck.predictor import encode_labels, labelled_inputs, tokenize
from limbeck.proving import HeldOut
from limbeck.recipes.skipped import skipped_rows
from limbeck.text import OnLong, Tokenizer


@dataclass(frozen=True, slots=True)
class Judging:
    """Labelled rows as the user wrote them, and as the model reads them."""

    dataset: Dataset
    held_out: HeldOut


def training_splits(bundle: Bundle) -> tuple[Dataset, Dataset, Dataset]:
    """Rows that the bundle was trained on, and those of dev and test that were set aside, 2,000 of each at most.

    Raises `DataError` when the data is gone or is no longer what the bundle was trained on.
    """
    source = bundle.manifest.source
    columns = Columns(**source.columns)
    with (
        TemporaryDirectory() as folder,
        named_in_training(USUAL),
    ):  # the bad rows were written down when the bundle was trained
        skipped = Path(folder) / "skipped.jsonl" if source.skipped else None
        splits = load_splits(source.path, columns, task=bundle.manifest.task.name, skipped=skipped)
    if splits.sha256 != source.sha256:
        raise DataError(
            f"{source.path} is no longer the data that {bundle.folder} was trained on: "
            "judge it on rows of your choice with --data"
        )
    train, dev, test = (at_most(split, JUDGED_ROWS) for split in (splits.train, splits.dev, splits.test))
    return train, dev, test


def judging(bundle: Bundle, dataset: Dataset, *, on_long: OnLong | None = None) -> Judging:
    """A dataset tokenised for the bundle's model."""
    manifest = bundle.manifest
    tokenizer = Tokenizer(bundle.tokenizer_file)
    limit = manifest.model.max_tokens
    texts, pairs = labelled_inputs(manifest.task, dataset)
    tokens = tokenize(tokenizer, manifest.task, texts, pairs, max_tokens=limit, on_long=on_long)
    digest = hashlib.sha256()
    for text, pair, label in zip(dataset.texts, dataset.pairs or [""] * len(dataset), dataset.labels, strict=True):
        digest.update(repr((text, pair, label)).encode())
    targets = encode_labels(manifest.task, dataset, tokens)
    return Judging(dataset, HeldOut(tokens, targets, digest.hexdigest()))


def new_rows(bundle: Bundle, data: str, columns: Columns, *, skip_bad_rows: bool) -> Dataset:
    """Labelled rows that the bundle was not trained on; without columns of their own, those of the training data."""
    named = columns if any(asdict(columns).values()) else Columns(**bundle.manifest.source.columns)
    task, place = bundle.manifest.task, Path(f"{Path(data).name}-skipped.jsonl")
    with skipped_rows(place if skip_bad_rows else None) as skipped, named_in_training(columns):
        dataset = load_labelled(data, named, task=task.name, labels=task.labels, skipped=skipped)
    if dataset.left_out:
        say(f"  left out {dataset.left_out:,} of {dataset.left_out + len(dataset):,} rows as bad, written to {place}")
    return dataset
