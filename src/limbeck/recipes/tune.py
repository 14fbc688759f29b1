"""`limbeck tune`: how this machine runs a variant fastest, measured and kept for `predict`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from limbeck.bundle import Bundle, Model, Variant, read_bundle
from limbeck.console import stage
from limbeck.engines import Engine, Settings, compute_logits
from limbeck.engines.base import Arrays
from limbeck.engines.load import load_engine
from limbeck.measure import Machine, race, this_machine, usable_cpus
from limbeck.recipes.arguments import check_numbers
from limbeck.text import Tokenizer, Tokens, pad
from limbeck.tuning import Tuned, keep_tuned

BUDGETS, MULTIPLES, COSTS = (1024, 2048, 4096, 8192), (8, 16, 32), (16, 64, 256)
SINGLE_ROWS, PROBE_ROWS = 30, 32
SECONDS_A_TURN, SECONDS_A_RACE = 0.7, 10.0  # five races, that of single texts shorter
WORTH = 1.03  # what is not 3 % faster is left as it is by default

Load = Callable[[Settings], Engine]


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings and how many rows a second they gave, one after another or in batches."""

    settings: Settings
    rows_per_second: float


@dataclass(frozen=True, slots=True)
class Race:
    """Settings that differ in what `varied`, timed in turn: the first was best before, `kept` is what is now."""

    varied: str
    trials: tuple[Trial, ...]
    kept: Settings

    @property
    def gain(self) -> float:
        """How many times as fast the settings that are kept were as the first."""
        rates = {trial.settings: trial.rows_per_second for trial in self.trials}
        return rates[self.kept] / self.trials[0].rows_per_second


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was found for `variant` on `machine`, and the file that keeps it.

    `singles` is the race of single texts, `batches` are those of many.
    """

    variant: str
    machine: Machine
    latency: Settings
    throughput: Settings
    singles: Race
    batches: tuple[Race, ...]
    seconds: float
    file: str


def tune(bundle: str | Path, *, variant: str | None = None, threads: int | None = None) -> Tuning:
    """Time a variant with more and fewer threads, streams and tokens a batch, and keep what was fastest for `predict`.

    What is kept counts on this CPU under these limits. The texts are random, as long as those of the training data.
    It takes less than a minute.

    Example: `limbeck tune model`

    Parameters
    ----------
    bundle
        The folder that `limbeck build` wrote.
    variant
        Tune this variant; by default the chosen one.
    threads
        The most compute threads; by default what the CPU quota and affinity allow.
    """
    check_numbers(threads=threads)
    start = time.monotonic()
    opened = read_bundle(bundle)
    chosen, model = opened.variant(variant), opened.manifest.model
    usual = Settings(threads=threads or usable_cpus())
    with stage(f"Timing {chosen.name} on single texts"):
        inputs = [pad([row], pad_id=model.pad_id, length=len(row)) for row in _random_rows(opened, SINGLE_ROWS)]
        singles = _singles(_loader(opened, chosen), inputs, usual, may_sleep=chosen.engine == "onnxruntime")
    with stage(f"Timing {chosen.name} on batches"):
        load = _loader(opened, chosen)
        batches = _batches(load, _sample(load, opened, usual), model, usual)
    latency, throughput = singles.kept, batches[-1].kept
    return Tuning(
        variant=chosen.name,
        machine=this_machine(),
        latency=latency,
        throughput=throughput,
        singles=singles,
        batches=batches,
        seconds=time.monotonic() - start,
        file=str(keep_tuned(opened, chosen, Tuned(latency=latency, throughput=throughput))),
    )


def _loader(bundle: Bundle, variant: Variant) -> Load:
    """Loads an engine once, as engines do not differ by how rows are batched; all are let go of with the loader."""
    loaded = cache(partial(load_engine, bundle.folder, variant))

    def load(settings: Settings) -> Engine:
        return loaded(Settings(threads=settings.threads, streams=settings.streams, spinning=settings.spinning))

    return load


def _singles(load: Load, inputs: Sequence[Arrays], usual: Settings, *, may_sleep: bool) -> Race:
    """The best for single texts: how many threads, which wait for the next text awake or asleep."""

    def one_by_one(settings: Settings) -> int:
        engine = load(settings)
        return len([engine.run(one) for one in inputs])

    fewer = [replace(usual, threads=n) for n in _counts(usual)]
    asleep = [replace(settings, spinning=False) for settings in fewer if may_sleep and settings.threads != 1]
    return _best_of("threads", [usual, *fewer, *asleep], one_by_one)


def _batches(load: Load, rows: Sequence[Tokens], model: Model, usual: Settings) -> tuple[Race, ...]:
    """The best for batches: how many streams, how many tokens, what lengths are a multiple of, when to pad more."""
    tokens = sum(map(len, rows))

    def all_at_once(settings: Settings) -> int:
        run = load(settings).run
        return len(compute_logits(run, rows, pad_id=model.pad_id, max_tokens=model.max_tokens, settings=settings))

    budgets = [n for n in BUDGETS if 2 * n <= tokens]
    steps = {"streams": _counts(usual), "budget_tokens": budgets, "round_to": MULTIPLES, "batch_cost": COSTS}
    best, races = usual, []
    for varied, values in steps.items():
        others = [replace(best, **{varied: value}) for value in values]
        races.append(_best_of(varied, [best, *others], all_at_once))
        best = races[-1].kept
    return tuple(races)


def _best_of(varied: str, given: Sequence[Settings], run: Callable[[Settings], int]) -> Race:
    """A race; the first of `given` is kept unless another one is faster enough."""
    different = list(dict.fromkeys(given))
    rates = race([partial(run, settings) for settings in different], seconds=SECONDS_A_RACE)
    best = int(np.argmax(rates))
    chosen = best if rates[best] > WORTH * rates[0] else 0
    trials = tuple(Trial(*found) for found in zip(different, rates, strict=True))
    return Race(varied, trials, different[chosen])


def _counts(usual: Settings) -> list[int]:
    """1, 2, 4, … and all threads."""
    most = usual.threads or 1
    return sorted({most, *(2**i for i in range(most.bit_length()) if 2**i < most)})


def _sample(load: Load, bundle: Bundle, usual: Settings) -> list[Tokens]:
    """Rows that take about as long as a turn should, and fill two batches at least."""
    probe, model = _random_rows(bundle, PROBE_ROWS), bundle.manifest.model
    run = load(usual).run
    taken = []
    for _ in range(2):  # the first is slower
        start = time.perf_counter()
        compute_logits(run, probe, pad_id=model.pad_id, max_tokens=model.max_tokens)
        taken.append(time.perf_counter() - start)
    tokens = sum(map(len, probe))
    wanted = max(2 * usual.budget_tokens, tokens / taken[-1] * SECONDS_A_TURN)
    return _random_rows(bundle, int(wanted / tokens * len(probe)))


def _random_rows(bundle: Bundle, count: int) -> list[Tokens]:
    """Rows of random tokens, as long as the training texts were."""
    manifest, random = bundle.manifest, np.random.default_rng(0)
    histogram = manifest.training["length_histogram"]
    rows, edges = np.array(histogram["counts"]), histogram["edges"]
    bins = random.choice(len(rows), count, p=rows / rows.sum())
    lengths = np.array([random.integers(edges[i], max(edges[i] + 1, edges[i + 1])) for i in bins])
    vocabulary = Tokenizer(bundle.tokenizer_file).vocabulary_size
    return [
        Tokens(i, random.integers(vocabulary, size=n, dtype=np.int32), np.zeros(n, np.int8))
        for i, n in enumerate(np.minimum(lengths, manifest.model.max_tokens))
    ]
