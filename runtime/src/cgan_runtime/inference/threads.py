"""How many threads pay: by the process's affinity, and by its control group's quota of CPU time.

Containers and systemd hold a process back by the quota (docker run --cpus, CPUQuota=), which the
affinity does not show.
"""

import math
import os
from contextlib import suppress
from pathlib import Path

# Where Linux mounts control groups, and says in which of them the process is.
GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_threads() -> int:
    """Return how many CPUs this process may use, 1 or more."""
    cpus, quota = _cpus(), cpu_quota()
    return max(1, cpus if quota >= cpus else math.ceil(quota))


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(groups: Path = GROUPS, own_groups: Path = OWN_GROUPS) -> float:
    """Return how many CPUs' time the process's control groups grant it; infinity without a limit.

    Version 2 keeps it in cpu.max, version 1 in cpu.cfs_quota_us and cpu.cfs_period_us, in each
    group from the process's own up to the root (kernel: admin-guide/cgroup-v2.rst,
    scheduler/sched-bwc.rst).
    """
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:  # no Linux
        return math.inf
    quota = math.inf
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / "cpu" if controllers else groups
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            quota = min(quota, _quota_of(folder))
            if folder == root:
                break
    return quota


def _quota_of(folder: Path) -> float:
    with suppress(OSError, ValueError):  # no such file, or "max": no limit
        used, period = (folder / "cpu.max").read_text().split()
        return int(used) / int(period)
    with suppress(OSError, ValueError):
        used = (folder / "cpu.cfs_quota_us").read_text()
        period = (folder / "cpu.cfs_period_us").read_text()
        return int(used) / int(period) if int(used) > 0 else math.inf
    return math.inf
