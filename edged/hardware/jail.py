"""Keeps a process that runs what nobody has tried yet from reaching out: no network, no other program, no end of processor time or files.

Called first thing in a child, before anything that starts threads. What a hardened unit already forbids stays forbidden.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
from collections.abc import Iterable
from contextlib import suppress

from edged.domain.errors import DeviceError

MAX_FILE_BYTES = 64 * 1024**2
"""What it may write into one file: logs of a runtime, never a disk full."""
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_LOAD, _EQUALS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _MACHINE_AT = 0, 4
"""Where struct seccomp_data has the call's number and the machine's (linux/seccomp.h)."""
_X32 = 0x40000000
"""From here on x86's second table begins, with the same calls."""
_CALLS: dict[str, tuple[int, tuple[int, ...]]] = {
    # socket connect accept sendto sendmsg bind listen socketpair execve ptrace accept4 sendmmsg execveat io_uring_setup
    "x86_64": (0xC000003E, (41, 42, 43, 44, 46, 49, 50, 53, 59, 101, 288, 307, 322, 425)),
    "aarch64": (0xC00000B7, (198, 203, 202, 206, 211, 200, 201, 199, 221, 117, 242, 269, 281, 425)),
}
"""AUDIT_ARCH of each machine, and the numbers there (asm/unistd.h)."""


def limit(cpu_s: float) -> None:
    """Bound processor time, which ends in SIGKILL, and the size of files. Address space stays free: GPU runtimes reserve terabytes."""
    seconds = max(1, round(cpu_s))
    for what, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, MAX_FILE_BYTES)):
        with suppress(OSError, ValueError):  # a lower bound is there already
            resource.setrlimit(what, (most, most))


def close_off() -> None:
    """Refuse every call that reaches the network, starts a program or traces another process, with EPERM, for good.

    Raises DeviceError where the kernel takes no filter, or the machine is none that edged knows the numbers of.
    """
    machine = platform.machine()
    if machine not in _CALLS:
        message = f"cannot close off a process on {machine}: its system calls are not listed, expected {sorted(_CALLS)}"
        raise DeviceError(message, code="seccomp")
    program = _program(*_CALLS[machine])
    code = ctypes.create_string_buffer(program)
    # struct sock_fprog: the number of instructions, and where they lie.
    whole = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, whole, 0, 0):
        reason = os.strerror(ctypes.get_errno())
        message = f"cannot close off a process: {reason}, expected a kernel with seccomp filters"
        raise DeviceError(message, code="seccomp")


def _program(machine: int, refused: Iterable[int]) -> bytes:
    """Give a classic BPF program (linux/filter.h: code, jump if true, jump if false, operand)."""
    numbers = list(refused)
    steps = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUALS, 0, len(numbers) + 3, machine),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, len(numbers) + 1, 0, _X32),
        *((_EQUALS, len(numbers) - index, 0, number) for index, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("@HBBI", *step) for step in steps)
