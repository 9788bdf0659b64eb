"""How many threads the kernels may use: as many as this process has processors, unless told."""

import math
import os
from pathlib import Path

from minigrad.checks import whole

_CONTROL_GROUPS = Path("/sys/fs/cgroup")


def get_num_threads() -> int:
    """Return how many threads a kernel may use, the calling one included."""
    return _number


def set_num_threads(number: int) -> None:
    """Let kernels use that many threads, the calling one included, in the whole process.

    No result depends on it. Raises TypeError or ValueError unless it is a whole number ≥ 1
    """
    global _number
    _number = whole("set_num_threads", "number", number)


def processors(groups=_CONTROL_GROUPS, own=Path("/proc/self/cgroup")) -> int:
    """Return how many processors the system leaves this process, by its affinity mask and, under
    Linux, by the quotas of its control groups, as those of a container."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not under Linux
        count = os.cpu_count() or 1
    return max(1, min([count, *map(math.ceil, _quotas(groups, own))]))


def _quotas(groups, own):
    """Yield how many processors' time each control group may take that this process is in."""
    try:
        paths = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in paths:
        folder = groups / "cpu" if "cpu" in controllers.split(",") else groups
        if not controllers or folder != groups:  # the second version has one tree, without a name
            inside = folder / path.strip("/")
            for group in (inside, *inside.parents):
                if group.is_relative_to(folder):
                    yield from _quota(group)


def _quota(group):
    try:
        if (group / "cpu.max").exists():  # the second version: "200000 100000", or "max 100000"
            quota, period = (group / "cpu.max").read_text().split()
        else:
            names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
            quota, period = ((group / name).read_text() for name in names)
        if float(quota) > 0:  # −1 is for no limit
            yield float(quota) / float(period)
    except (OSError, ValueError):  # there is no such file, or no limit
        return


def _chosen():
    """Return what NUMBA_NUM_THREADS says, which joblib sets in its processes, too."""
    told = os.environ.get("NUMBA_NUM_THREADS", "")
    return int(told) if told.isdecimal() and int(told) else processors()


_number = _chosen()
