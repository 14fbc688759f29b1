from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from limbeck.measure import Machine, machine, this_machine, usable_cpus


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def cgroup_v2(tmp_path: Path, group: str, **limits: str) -> tuple[Path, Path]:
    """A version 2 tree; a limit's key is the folder, with `__` for `/` and `root` for the mount."""
    root = tmp_path / "cgroup"
    write(tmp_path / "self", f"0::{group}\n")
    for folder, limit in limits.items():
        write(root / ("" if folder == "root" else folder.replace("__", "/")) / "cpu.max", limit)
    return root, tmp_path / "self"


def test_no_quota_leaves_the_affinity_mask(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "none", tmp_path / "absent") == 8
    assert usable_cpus(*cgroup_v2(tmp_path, "/job", job="max 100000\n")) == 8


def test_a_part_of_a_cpu_is_rounded_up(tmp_path: Path) -> None:
    root, self_cgroup = cgroup_v2(tmp_path, "/job", job="150000 100000\n")
    assert usable_cpus(root, self_cgroup) == 2
    assert machine._cpu_limit(root, self_cgroup) == 1.5


def test_never_less_than_one(tmp_path: Path) -> None:
    assert usable_cpus(*cgroup_v2(tmp_path, "/job", job="5000 100000\n")) == 1


def test_the_tightest_ancestor_wins(tmp_path: Path) -> None:
    tree = cgroup_v2(tmp_path, "/pod/job", root="700000 100000", pod="300000 100000", pod__job="500000 100000")
    assert usable_cpus(*tree) == 3


@pytest.mark.parametrize("group", ["/../elsewhere", "/host/path/not/here"])
def test_a_group_that_cannot_be_seen_falls_back_to_the_mount(tmp_path: Path, group: str) -> None:
    assert usable_cpus(*cgroup_v2(tmp_path, group, root="400000 100000")) == 4


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
def test_version_1(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "cgroup"
    write(tmp_path / "self", "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n0::/\n")
    write(root / folder / "docker" / "a" / "cpu.cfs_quota_us", "250000\n")
    write(root / folder / "docker" / "a" / "cpu.cfs_period_us", "100000\n")
    write(root / folder / "cpu.cfs_quota_us", "-1\n")
    write(root / folder / "cpu.cfs_period_us", "100000\n")
    assert usable_cpus(root, tmp_path / "self") == 3


def test_a_quota_above_the_mask_changes_nothing(tmp_path: Path) -> None:
    assert usable_cpus(*cgroup_v2(tmp_path, "/job", job="1600000 100000")) == 8


@pytest.mark.parametrize(
    ("line", "file"),
    [("0::/job", "job/memory.max"), ("3:memory:/job", "memory/job/memory.limit_in_bytes")],
)
def test_memory_of_a_container(tmp_path: Path, line: str, file: str) -> None:
    write(tmp_path / "self", line)
    write(tmp_path / "cgroup" / file, "4096\n")
    assert machine._memory_limit_bytes(tmp_path / "cgroup", tmp_path / "self") == 4096


def test_x86_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = "processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t\t: fpu avx512_vnni sse4_2 avx2 fma\n"
    write(tmp_path / "cpuinfo", block + "\n" + block.replace("EPYC", "second"))
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    found = this_machine()
    assert found.cpu == "AMD EPYC 9654"
    assert found.instruction_sets == ("sse4_2", "avx2", "fma", "avx512_vnni")


def test_arm_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path / "cpuinfo",
        "processor : 0\nFeatures : fp asimd asimddp i8mm bf16\nCPU implementer : 0x41\nCPU part : 0xd40\n",
    )
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    found = this_machine()
    assert found.cpu.endswith("implementer 0x41 part 0xd40")
    assert found.instruction_sets == ("asimd", "asimddp", "i8mm", "bf16")


def test_no_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "absent")
    found = this_machine()
    assert found.cpu
    assert found.instruction_sets == ()


def test_this_machine_survives_json() -> None:
    found = this_machine()
    assert found.cpus > 0
    assert msgspec.json.decode(msgspec.json.encode(found), type=Machine) == found
