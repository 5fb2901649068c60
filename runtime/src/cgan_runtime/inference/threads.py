"""The number of CPUs that the process may use, from its CPU affinity and its cgroup quota.

Containers and systemd (docker run --cpus, CPUQuota=) set the quota, but leave the affinity
unchanged.
"""

import math
import os
from pathlib import Path

from cgan_runtime.errors import suppress_internal

CGROUPS = Path("/sys/fs/cgroup")  # Linux mounts the control groups here
OWN_CGROUPS = Path("/proc/self/cgroup")  # Linux lists the control groups of the process here
MAX_BYTES = 2**20  # limit of the bytes that are read from a file


def available_threads() -> int:
    """Return how many CPUs this process may use, 1 or more."""
    cpus = os.cpu_count() or 1
    with suppress_internal(AttributeError, OSError):  # not Linux, or a sandbox forbids the call
        cpus = len(os.sched_getaffinity(0))
    return max(1, math.ceil(min(cpus, cpu_quota())))


def cpu_quota(cgroups: Path = CGROUPS, own_cgroups: Path = OWN_CGROUPS) -> float:
    """Return the CPU quota of the process's control groups, in CPUs; infinity without a limit.

    Version 2 of control groups stores the quota in cpu.max, version 1 in cpu.cfs_quota_us and
    cpu.cfs_period_us. The smallest quota from the process's group up to the root applies (Linux
    kernel documentation: admin-guide/cgroup-v2.rst, scheduler/sched-bwc.rst).
    """
    quota = math.inf
    for line in _read(own_cgroups).split("\n"):
        _, *fields = line.split(":", 2)
        if len(fields) < 2:
            continue
        controllers, path = fields
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / "cpu" if controllers else cgroups
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            quota = min(quota, _quota_of(folder))
            if folder == root:
                break
    return quota


def _quota_of(folder: Path) -> float:
    version_1 = (_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))
    for fields in (_read(folder / "cpu.max").split(), version_1):
        with suppress_internal(ValueError, ArithmeticError):  # no file, or no limit ("max")
            limit, period = map(int, fields)
            if limit > 0 and period > 0:
                return limit / period
    return math.inf


def _read(path: Path) -> str:
    """Return the text of a file in /proc or /sys, or "" if it cannot be read.

    Names in it may contain any bytes, which os.fsdecode() keeps.
    """
    # ValueError: the path contains a null character.
    with suppress_internal(OSError, ValueError), path.open("rb") as file:
        return os.fsdecode(file.read(MAX_BYTES))
    return ""
