import math
import os
from pathlib import Path

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


@pytest.mark.parametrize("content", ["max 100000\n", "", "nonsense\n"])
def test_cgroup_without_a_quota_is_unlimited(
    tmp_path: Path, own_cgroups: Path, content: str
) -> None:
    own_cgroups.write_text("0::/\n")
    write_files(tmp_path / "groups", cpu__max=content)
    assert cpu_quota(tmp_path / "groups", own_cgroups) == math.inf


@pytest.mark.parametrize("content", [None, "0::/../../elsewhere\n"])
def test_system_without_cgroups_is_unlimited(
    tmp_path: Path, own_cgroups: Path, content: str | None
) -> None:
    if content:
        own_cgroups.write_text(content)
    assert cpu_quota(tmp_path / "groups", own_cgroups) == math.inf
