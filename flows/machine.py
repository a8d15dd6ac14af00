"""What this machine may give: memory, cores and disk, as the container or service allows that we run in, not as the host has.

Dask's and psutil's own answers look at the root of the control groups alone: a service's `MemoryMax=` stands further down.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

GB = 10**9
MEASURE_MOST = 4 * GB
"""Measuring goes by passes over some users at a time, so that more than this makes it no faster."""

TERMS_MOST = GB
WORKER = 700 * 10**6
"""What one worker of the scrub takes, its model among it; 0.5 GB were measured."""


@dataclass(frozen=True)
class Machine:
    """What processes of ours may take together: `memory` in bytes, `cores`."""

    memory: int
    cores: int

    @property
    def measure_memory(self) -> int:
        """Bytes for the database of the measures where no setting says: half of the memory, at most MEASURE_MOST."""
        return min(self.memory // 2, MEASURE_MOST)

    @property
    def terms_memory(self) -> int:
        """Bytes for the database of terms, which is open beside it: an eighth of the memory, at most TERMS_MOST."""
        return min(self.memory // 8, TERMS_MOST)

    def threads(self, memory: int) -> int:
        """Threads of a database where no setting says: one a core, but each needs a GB, or they make one another spill."""
        return max(1, min(self.cores, memory // GB))

    @property
    def workers(self) -> int:
        """Workers of the scrub where no setting says: one a core, as far as there is memory for them."""
        return max(1, min(self.cores, self.memory // WORKER))


def this_machine(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Machine:
    """What this process may have: the host's memory or less, by its control group or any above it; its cores by affinity and quota."""
    memory = min([_host_memory(proc), *(_numbers(proc, groups, "memory", "memory.max", "memory.limit_in_bytes"))])
    cores = len(os.sched_getaffinity(0))
    quotas = [ceil(quota / period) for quota, period in _quotas(proc, groups) if quota > 0 and period > 0]
    return Machine(memory, max(1, min([cores, *quotas])))


def free_disk(folder: Path) -> int:
    """Bytes that are free for us on the disk of a folder, or of the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _host_memory(proc: Path) -> int:
    for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _numbers(proc: Path, groups: Path, controller: str, new: str, old: str) -> Iterator[int]:
    """A limit of our control group and of each above it, as versions 2 and 1 name it. One that is not set is not given."""
    for folder in _folders(proc, groups, controller):
        for name in (new, old):
            text = _read(folder / name)
            if text.isdigit():
                yield int(text)


def _quotas(proc: Path, groups: Path) -> Iterator[tuple[int, int]]:
    """Processor time and the period in which it may be used, of our group and of each above it."""
    for folder in _folders(proc, groups, "cpu"):
        for parts in (_read(folder / "cpu.max").split(), [_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]):
            if len(parts) == 2 and all(part.isdigit() for part in parts):
                yield int(parts[0]), int(parts[1])


def _folders(proc: Path, groups: Path, controller: str) -> Iterator[Path]:
    """Where our control group's files are, and those of each above it: version 2 has one tree, version 1 one for each controller.

    In a container the path may be the host's, of which its own tree has the end or nothing: then its root is what there is.
    """
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = groups / controllers if controllers else groups
        here = root / path.lstrip("/")
        while here != root:
            yield here
            here = here.parent
        yield root


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
