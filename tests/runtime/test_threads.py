"""The number of threads that are available."""

import errno
import math
import os
from pathlib import Path
from typing import NoReturn

import pytest

from cgan_runtime.inference import threads
from cgan_runtime.inference.threads import available_threads, cpu_quota


@pytest.fixture
def own_cgroups(tmp_path: Path) -> Path:
    return tmp_path / "own"


def write_files(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_threads_follow_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cpu_quota", lambda: math.inf)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert available_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads() == 1


@pytest.mark.parametrize(
    ("quota", "expected"), [(0.25, 1), (1.0, 1), (1.5, 2), (4.0, 3), (math.inf, 3)]
)
def test_threads_follow_the_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    assert available_threads() == expected


def test_smallest_quota_of_all_parent_groups_counts(tmp_path: Path, own_cgroups: Path) -> None:
    own_cgroups.write_text("0::/machine/box/task\n")
    write_files(tmp_path / "groups", cpu__max="400000 100000\n")
    write_files(tmp_path / "groups/machine", cpu__max="150000 100000\n")
    write_files(tmp_path / "groups/machine/box", cpu__max="max 100000\n")
    write_files(tmp_path / "groups/machine/box/task")
    assert cpu_quota(tmp_path / "groups", own_cgroups) == 1.5


def test_quota_of_cgroups_version_1_is_read(tmp_path: Path, own_cgroups: Path) -> None:
    own_cgroups.write_text("5:memory:/box\n4:cpu,cpuacct:/box\n1:name=systemd:/box\n")
    write_files(tmp_path / "cpu", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    write_files(tmp_path / "cpu/box", cpu__cfs_quota_us="50000\n", cpu__cfs_period_us="100000\n")
    assert cpu_quota(tmp_path, own_cgroups) == 0.5


LIMITS = [
    "max 100000\n",
    "",
    "nonsense\n",
    "5",
    "5 5 5",
    "-5 100",
    "5 0",
    "0 0",
    "\xff\xfe",
    "1e3 1",
]
LIMITS += [f"{'9' * 4000} 1", "9" * 9000]


@pytest.mark.parametrize("content", LIMITS, ids=lambda content: content[:9])
def test_cgroup_without_a_valid_quota_is_unlimited(
    tmp_path: Path, own_cgroups: Path, content: str
) -> None:
    own_cgroups.write_text("0::/\n1:cpu:/\n")
    groups = tmp_path / "groups"
    write_files(groups)
    (groups / "cpu.max").write_bytes(content.encode("latin-1"))
    quota, _, period = content.partition(" ")
    write_files(groups / "cpu")
    (groups / "cpu" / "cpu.cfs_quota_us").write_bytes(quota.encode("latin-1"))
    (groups / "cpu" / "cpu.cfs_period_us").write_bytes(period.encode("latin-1"))
    assert cpu_quota(groups, own_cgroups) == math.inf


@pytest.mark.parametrize(
    "content",
    [None, b"0::/../../elsewhere\n", b"nonsense\n:\n::\n\n", b"0::/a\0b\n", b"0::/" + 5000 * b"n"],
)
def test_system_without_cgroups_is_unlimited(
    tmp_path: Path, own_cgroups: Path, content: bytes | None
) -> None:
    if content:
        own_cgroups.write_bytes(content)
    assert cpu_quota(tmp_path / "groups", own_cgroups) == math.inf


@pytest.mark.parametrize(
    "name", [b"\xff\xfe", "é".encode(), b"a\x0cb", b"a:b", b"\xc2\x85"], ids=repr
)
def test_groups_may_have_any_name(tmp_path: Path, own_cgroups: Path, name: bytes) -> None:
    own_cgroups.write_bytes(b"0::/" + name + b"\n")
    write_files(tmp_path / "groups" / os.fsdecode(name), cpu__max="150000 100000\n")
    assert cpu_quota(tmp_path / "groups", own_cgroups) == 1.5


def test_sandbox_without_an_affinity_uses_the_cpu_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> NoReturn:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "sched_getaffinity", fail, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setattr(threads, "cpu_quota", lambda: math.inf)
    assert available_threads() == 7
