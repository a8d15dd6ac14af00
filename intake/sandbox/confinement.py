"""What a process gives up before it looks into a hostile file. Linux; what the host cannot enforce is said, not assumed.

Sources: setrlimit(2), unshare(2), landlock(7), prctl(2), seccomp(2).
"""

import contextlib
import ctypes
import os
import resource
from dataclasses import dataclass
from pathlib import Path

from intake.sandbox.calls import refuse_other_calls

NOBODY = 65_534
_NEW_USER, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x40000000, 0x08000000
_NO_NEW_PRIVILEGES, _IS_DUMPABLE, _DUMPABLE, _DEATH_SIGNAL, _KILL = 38, 3, 4, 1, 9
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_VERSION = 444, 446, 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # number of rights over files by version of the kernel's interface
_LATEST_FILE_RIGHTS, _NETWORK_RIGHTS, _SCOPES = 16, 2, 2


@dataclass(frozen=True)
class Allowance:
    """What the process may still take: bytes of memory on top of what it has, and seconds of processor time."""

    memory_bytes: int
    seconds: int


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def confine(allowance: Allowance) -> dict[str, bool]:
    """Gives up everything but the open descriptors, for ever, and says what of it the host enforces.

    Keys: `no_network`, `no_files`, `own_user`, `no_new_privileges`, `memory`, `processor_time`, `file_size`,
    `open_files`, `no_processes`, `no_core_dump`, `few_calls` (of the system; where it holds, no call takes a path but to
    ask for a file's size and times, and there is no socket and no other process).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    has = _memory_now()
    root = os.geteuid() == 0
    enforced = {"no_network": _unshare(libc, (0 if root else _NEW_USER) | _NEW_NETWORK | _NEW_IPC)}
    enforced["own_user"] = root and _become_nobody()
    libc.prctl(_DEATH_SIGNAL, _KILL, 0, 0, 0)
    libc.prctl(_DUMPABLE, 0, 0, 0, 0)
    enforced["no_new_privileges"] = libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    no_files = _landlock(libc)
    enforced |= {
        "memory": _limit(resource.RLIMIT_DATA, has.get("VmData", 0) + has.get("VmStk", 0) + allowance.memory_bytes)
        and _limit(resource.RLIMIT_AS, has.get("VmSize", 0) + 2 * allowance.memory_bytes),
        "processor_time": _limit(resource.RLIMIT_CPU, allowance.seconds),
        "file_size": _limit(resource.RLIMIT_FSIZE, 0),
        "open_files": _limit(resource.RLIMIT_NOFILE, 3),
        "no_processes": _limit(resource.RLIMIT_NPROC, 0),
        "no_core_dump": _limit(resource.RLIMIT_CORE, 0) and libc.prctl(_IS_DUMPABLE, 0, 0, 0, 0) == 0,
        "few_calls": refuse_other_calls(libc),
    }
    enforced["no_files"] = no_files or enforced["few_calls"]
    enforced["no_network"] = enforced["no_network"] or enforced["few_calls"]
    return enforced


def _unshare(libc: ctypes.CDLL, flags: int) -> bool:
    return bool(libc.unshare(flags) == 0)


def _become_nobody() -> bool:
    with contextlib.suppress(OSError):
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    return os.getresuid() == (NOBODY, NOBODY, NOBODY)


def _landlock(libc: ctypes.CDLL) -> bool:
    """Forbids every path, every TCP port and signals to others: a ruleset that handles all rights and grants none."""
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return False
    rules = _Ruleset(
        (1 << _FILE_RIGHTS.get(version, _LATEST_FILE_RIGHTS)) - 1,
        (1 << _NETWORK_RIGHTS) - 1 if version >= 4 else 0,
        (1 << _SCOPES) - 1 if version >= 6 else 0,
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _limit(kind: int, most: int) -> bool:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (most, most))
    return resource.getrlimit(kind)[1] <= most


def _memory_now() -> dict[str, int]:
    """What this process has, in bytes, by the names of /proc/self/status; empty where the host has no such file."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.startswith("Vm"))
    return {field[0][:-1]: int(field[1]) << 10 for field in fields}
