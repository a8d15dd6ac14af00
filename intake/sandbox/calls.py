"""The system calls that a process needs to read, compute and write: every other one is refused to it for ever.

An allow-list as a seccomp filter: a call that is not on it fails with EPERM. Sources: seccomp(2), the kernel's filter
format (Berkeley Packet Filter), and its tables of calls.
"""

import ctypes
import errno
import os

_SET_SECCOMP, _FILTER = 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_NUMBER, _ARCHITECTURE = 0, 4  # places in what the filter is shown of a call

# Reading and writing what is open, memory, time, signals of its own, and its end. No path, socket, process or device.
_CALLS: dict[str, tuple[int, tuple[int, ...]]] = {
    # read write poll fstat lseek mmap mprotect munmap brk sigaction sigprocmask sigreturn ioctl pread pwrite readv writev
    # sched_yield mremap madvise dup nanosleep getpid exit uname fcntl gettimeofday getrusage times getuid geteuid sigaltstack
    # gettid futex sched_getaffinity restart_syscall clock_* exit_group newfstatat ppoll set_robust_list prlimit getcpu
    # getrandom membarrier rseq close
    "x86_64": (
        0xC000003E,
        (0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 24, 25, 28, 32, 35, 39, 60, 63, 72, 96, 98, 100, 102,
         107, 131, 186, 202, 204, 219, 228, 229, 230, 231, 262, 271, 273, 302, 309, 318, 324, 334),
    ),
    "aarch64": (
        0xC00000B7,
        (23, 25, 29, 57, 62, 63, 64, 65, 66, 67, 68, 73, 79, 80, 93, 94, 98, 99, 101, 113, 114, 115, 123, 124, 128, 132, 134,
         135, 139, 153, 160, 165, 168, 169, 172, 174, 175, 178, 214, 215, 216, 222, 226, 233, 261, 278, 283, 293),
    ),
}  # fmt: skip


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("hit", ctypes.c_uint8), ("miss", ctypes.c_uint8), ("value", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def refuse_other_calls(libc: ctypes.CDLL) -> bool:
    """Whether the filter is in place from now on. The process must have given up new privileges before."""
    if os.uname().machine not in _CALLS:
        return False
    architecture, calls = _CALLS[os.uname().machine]
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _REFUSE),  # numbers of another table
        (_LOAD, 0, 0, _NUMBER),
        *((_EQUAL, len(calls) - at, 0, number) for at, number in enumerate(calls)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    instructions = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    program = _Program(len(steps), instructions)
    return bool(libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) == 0)
