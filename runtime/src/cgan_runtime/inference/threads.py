"""The number of CPUs that the process may use, from its CPU affinity and its cgroup quota.

Containers and systemd limit CPU time by the quota (docker run --cpus, CPUQuota=), which does not
change the affinity.
"""

import math
import os
from contextlib import suppress
from pathlib import Path

# Linux mounts the control groups at the first path, and lists those of the process at the second.
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_threads() -> int:
    """Return how many CPUs this process may use, 1 or more."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cpus, cpu_quota())))


def cpu_quota(cgroups: Path = CGROUPS, own_cgroups: Path = OWN_CGROUPS) -> float:
    """Return the CPU quota of the process's control groups, in CPUs; infinity without a limit.

    Version 2 keeps it in cpu.max, version 1 in cpu.cfs_quota_us and cpu.cfs_period_us. The smallest
    quota from the process's own group up to the root applies (Linux kernel documentation:
    admin-guide/cgroup-v2.rst, scheduler/sched-bwc.rst).
    """
    try:
        lines = own_cgroups.read_text().splitlines()
    except OSError:  # not Linux
        return math.inf
    quota = math.inf
    for line in lines:
        _, controllers, path = line.split(":", 2)
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
    with suppress(OSError, ValueError):  # the file is missing, or "max" means no limit
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with suppress(OSError, ValueError):
        limit = int((folder / "cpu.cfs_quota_us").read_text())
        period = (folder / "cpu.cfs_period_us").read_text()
        return limit / int(period) if limit > 0 else math.inf
    return math.inf
