"""What the machine has: cores, free memory, and how numeric libraries are told their share of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["cores", "free_memory", "numeric_threads", "peak_memory"]

_CGROUP = Path("/sys/fs/cgroup")
_UNKNOWN_MEMORY = 2 << 30  # two GiB where the platform does not say: small enough for any machine that runs this


def cores() -> int:
    """How many cores this process may use, by affinity and by the quota of its container."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = _read(_CGROUP / "cpu.max").split()
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
        count = min(count, max(1, -(-int(words[0]) // int(words[1]))))
    return max(1, count)


def free_memory() -> int:
    """How many bytes can still be taken, by the machine and by the limit of its container."""
    free = _UNKNOWN_MEMORY
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = _read(_CGROUP / "memory.max").strip(), _read(_CGROUP / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        free = min(free, max(0, int(limit) - int(used)))
    return free


def peak_memory() -> int:
    """The most bytes that this process has held at once; 0 where the platform does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@contextmanager
def numeric_threads(count: int | None = None) -> Iterator[None]:
    """Numeric libraries that are loaded use `count` threads, all cores when None, and their old number afterwards."""
    share = count or cores()
    with ExitStack() as stack:
        if "threadpoolctl" in sys.modules or "sklearn" in sys.modules:
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(share))
        torch = sys.modules.get("torch")
        if torch is not None:
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(share)
        yield


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
