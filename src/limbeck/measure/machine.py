"""The machine a measurement was made on: processor, instruction sets, usable CPUs and memory.

A number measured on one processor says little about another: without VNNI, for instance, ONNX Runtime's
int8 products of unsigned activations and signed weights saturate, and answers differ (onnxruntime #5849).
So the machine is part of every certificate.

Inside a container the kernel still shows the whole host; what the process may really use stands in its
affinity mask (sched_getaffinity(2)) and in its control group: `cpu.max` and `memory.max` in version 2
(kernel documentation, admin-guide/cgroup-v2), `cpu.cfs_quota_us` / `cpu.cfs_period_us` (scheduler/sched-bwc)
and `memory.limit_in_bytes` in version 1. A limit of any ancestor group holds for its children too, so every
group from the process's own up to the root is read and the tightest limit wins.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CPUINFO = Path("/proc/cpuinfo")
CGROUP_ROOT = Path("/sys/fs/cgroup")
SELF_CGROUP = Path("/proc/self/cgroup")

# The instruction sets that decide which matrix kernels run, as /proc/cpuinfo spells them.
RELEVANT_INSTRUCTION_SETS = (
    "sse4_2",
    "avx2",
    "fma",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a measurement ran on.

    `cpu` is the processor's model name, `instruction_sets` those of its instruction sets that matter to
    matrix products (empty where the system does not tell), `cpus` how many CPUs the process may use (a
    container may be allowed 1.5), `system` the operating system with its architecture, `memory_bytes` the
    memory the process may use (0 where the system does not tell).
    """

    cpu: str
    instruction_sets: tuple[str, ...]
    cpus: float
    system: str
    memory_bytes: int


def this_machine() -> Machine:
    """The machine this process runs on."""
    fields = _cpuinfo(CPUINFO)
    return Machine(
        cpu=_cpu_name(fields),
        instruction_sets=_instruction_sets(fields),
        cpus=_cpu_limit(CGROUP_ROOT, SELF_CGROUP),
        system=f"{platform.system()} {platform.machine()}",
        memory_bytes=_memory_limit_bytes(CGROUP_ROOT, SELF_CGROUP),
    )


def usable_cpus(cgroup_root: Path = CGROUP_ROOT, self_cgroup: Path = SELF_CGROUP) -> int:
    """How many threads can really run at once: the affinity mask or the CPU quota, whichever is smaller.

    A quota is rounded up, and the result is at least 1. `cgroup_root` is where control groups are mounted,
    `self_cgroup` the file that names this process's groups.
    """
    return max(1, math.ceil(_cpu_limit(cgroup_root, self_cgroup)))


def _cpu_limit(cgroup_root: Path, self_cgroup: Path) -> float:
    # macOS and Windows have no such call.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(allowed), *_cpu_quotas(cgroup_root, self_cgroup)])


def _cpu_quotas(cgroup_root: Path, self_cgroup: Path) -> Iterator[float]:
    """Every CPU quota over this process, in CPUs."""
    for group in _groups(cgroup_root, self_cgroup, "cpu"):
        quota_and_period = _read(group / "cpu.max").split()
        if not quota_and_period:
            quota_and_period = [_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")]
        # "max" (version 2) and "-1" (version 1) both mean no quota, and neither is a plain number.
        if len(quota_and_period) == 2 and all(part.isdecimal() for part in quota_and_period):
            quota_us, period_us = (int(part) for part in quota_and_period)
            if quota_us > 0 and period_us > 0:
                yield quota_us / period_us


def _memory_limit_bytes(cgroup_root: Path, self_cgroup: Path) -> int:
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, others may lack the name
        return 0
    limits = [installed]
    for group in _groups(cgroup_root, self_cgroup, "memory"):
        limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        if limit.isdecimal():
            limits.append(int(limit))
    return min(limits)


def _groups(cgroup_root: Path, self_cgroup: Path, controller: str) -> Iterator[Path]:
    """The folders of the control groups that hold this process for one controller, inner ones first.

    A line of `self_cgroup` is `0::/path` in version 2 and `4:cpu,cpuacct:/path` in version 1, which mounts
    each controller in a folder of its own. Inside a container the path may be the host's and not exist
    here; its limits then stand at the mount's root, which is always among the folders.
    """
    for line in _read(self_cgroup).splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            mount = cgroup_root
        elif controller in controllers.split(","):
            mount = cgroup_root / controllers
            if not mount.is_dir():
                mount = cgroup_root / controller
        else:
            continue
        parts = [part for part in PurePosixPath(path).parts if part != "/"]
        if ".." in parts:  # a group outside of this namespace, which cannot be read from here
            parts = []
        for depth in range(len(parts), -1, -1):
            yield mount.joinpath(*parts[:depth])


def _cpuinfo(path: Path) -> dict[str, str]:
    """The first processor's fields of a cpuinfo file; empty where there is no such file."""
    first = _read(path).split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _cpu_name(fields: dict[str, str]) -> str:
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" in fields:  # ARM's cpuinfo has numbers in place of a name
        return f"{platform.machine()} implementer {fields.get('CPU implementer', '?')} part {fields['CPU part']}"
    return platform.processor() or platform.machine() or "unknown"


def _instruction_sets(fields: dict[str, str]) -> tuple[str, ...]:
    present = set(fields.get("flags", fields.get("Features", "")).split())
    return tuple(name for name in RELEVANT_INSTRUCTION_SETS if name in present)


def _read(path: Path) -> str:
    """A small system file without its surrounding blanks; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
