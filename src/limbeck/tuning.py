"""The settings that a machine runs a variant fastest with, kept where they were found."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, get_args

import msgspec

from limbeck.bundle import Bundle, Variant
from limbeck.engines.settings import DEFAULT, Device, Settings
from limbeck.errors import UsageError
from limbeck.files import user_cache, write_text
from limbeck.measure import this_machine

Objective = Literal["latency", "throughput"]


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """Settings for single texts (`latency`), and for many (`throughput`)."""

    latency: Settings
    throughput: Settings


def tuned_file(bundle: Bundle, variant: Variant) -> Path:
    """Where the settings of a variant are kept: they go with its file, what it reads, this CPU and its limits."""
    machine = this_machine()
    said = (
        *(bundle.manifest.files.get(variant.file), variant.precision, bundle.manifest.model.max_tokens),
        *(machine.cpu, machine.instruction_sets, machine.cpus, machine.memory_bytes),
    )
    return user_cache() / "tuned" / f"{hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:32]}.json"


def keep_tuned(bundle: Bundle, variant: Variant, tuned: Tuned) -> Path:
    """Keep settings for this machine."""
    path = tuned_file(bundle, variant)
    write_text(path, msgspec.json.format(msgspec.json.encode(tuned)).decode())
    return path


def kept_tuned(bundle: Bundle, variant: Variant) -> Tuned | None:
    """The settings that were kept on this machine; None where it was never tuned, or by another version."""
    try:
        return msgspec.json.decode(tuned_file(bundle, variant).read_bytes(), type=Tuned)
    except (OSError, msgspec.DecodeError):
        return None


def settings_for(
    bundle: Bundle, variant: Variant, objective: Objective, threads: int | None, device: Device = "cpu"
) -> Settings:
    """What was tuned on this machine, else the defaults; `threads` that were said count in any case.

    Raises `UsageError` for an unknown objective or device.
    """
    if objective not in get_args(Objective):
        raise UsageError(f"unknown objective {objective!r}: expected {' or '.join(get_args(Objective))}")
    if device not in get_args(Device):
        raise UsageError(f"unknown device {device!r}: expected {' or '.join(get_args(Device))}")
    if device != "cpu":
        return Settings(device=device, threads=threads)
    tuned = kept_tuned(bundle, variant) or Tuned(latency=DEFAULT, throughput=DEFAULT)
    found = tuned.latency if objective == "latency" else tuned.throughput
    if threads is None:
        return found
    return msgspec.structs.replace(found, threads=threads, streams=min(found.streams, threads))
