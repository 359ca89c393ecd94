"""Confinement of a process by Landlock, a Linux security module without privileges, so that it can write to few places.

This file is also a program. The gate starts each worker through it, with the gate's own interpreter: the program gives
up write access, then becomes the interpreter of the revision. So no code of the revision runs unconfined, whether in a
``.pth`` file, in ``sitecustomize`` or in an import, and no process that a worker starts can regain write access. The
program imports little, since every worker waits for it.

The existing packages for Landlock are pre-releases or first versions by single authors. The three system calls that are
needed have not changed since Linux 5.13, so no package is used.

Landlock does not cover reading, changes of the modes, times and owners of files, sockets, and files that are already
open.

- :func:`can_confine`, :func:`describe_confinement`: what this machine offers.
- :func:`confine`: give up write access permanently.
- :func:`confined_command`: a command line that runs another command confined.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable, Sequence

LEAST_ABI = 2
"""Version of Landlock that lets files be renamed from folder to folder: Linux 5.19."""

DEVICES = (
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/shm"),
    *("/dev/nvidia*", "/dev/dri", "/dev/kfd", "/dev/accel*"),
)
"""Glob patterns of paths that every worker may write to besides its own folder: shared memory, terminals, accelerators."""

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, the same on all processors."""

PR_SET_NO_NEW_PRIVS = 38
"""Option of ``prctl`` that Landlock requires of an unprivileged process."""

RULE_PATH_BENEATH = 1
"""Kind of a rule: for a file, or for everything below a folder."""

WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
"""Rights that a file can have."""

CHANGE_FOLDER = sum(1 << bit for bit in range(4, 14))
"""Rights of a folder: remove folders and files in it, make them of any kind, rename to and from it."""

ABI_OF_TRUNCATE, ABI_OF_SCOPES = 3, 6
"""First versions of Landlock with the right to truncate files, and with scopes."""

SCOPE_SIGNAL = 1 << 1
"""Scope that forbids signals to processes outside the confinement, such as the gate."""


class _Ruleset(ctypes.Structure):
    """Access rights that a process gives up."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    """Access rights that it keeps below one path."""

    _pack_ = 1
    _layout_ = "ms"  # Python 3.14 requires it together with _pack_
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def _libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    """Make a system call.

    Raises:
        OSError: If it fails.
    """
    result: int = _libc().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def landlock_abi() -> int:
    """Version of Landlock on this system; 0 without Landlock."""
    if sys.platform != "linux":
        return 0
    try:
        return _call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def can_confine() -> bool:
    """Whether workers can be confined on this machine."""
    return landlock_abi() >= LEAST_ABI


def describe_confinement() -> str:
    """Describe the confinement available on this machine, in one sentence.

    Example:
        >>> describe_confinement().startswith("workers ")
        True
    """
    import platform

    abi = landlock_abi()
    if can_confine():
        return f"workers are confined by Landlock, version {abi}: they can write to their own folders only"
    why = f"Landlock is version {abi}, too old" if abi else f"{platform.system()} offers no Landlock"
    return f"workers are not confined ({why}): changes that they make in environments are detected, not prevented"


def confine(writable: Iterable[str]) -> None:
    """Permanently give up the right to change files, except in some places, for this process and its children.

    Call this while the process has only one thread, since other threads would not be confined.

    Args:
        writable: Files and folders that stay writable; a path that does not exist is ignored.

    Raises:
        OSError: If the system does not support it.
    """
    abi = landlock_abi()
    of_files = WRITE_FILE | (TRUNCATE if abi >= ABI_OF_TRUNCATE else 0)
    given_up = _Ruleset(of_files | CHANGE_FOLDER, 0, SCOPE_SIGNAL if abi >= ABI_OF_SCOPES else 0)
    size = ctypes.sizeof(given_up) if abi >= ABI_OF_SCOPES else ctypes.sizeof(ctypes.c_uint64)
    ruleset = _call(CREATE_RULESET, ctypes.byref(given_up), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in writable:
            _allow(ruleset, path, of_files)
        if _libc().prctl(PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(number) for number in (1, 0, 0, 0))):
            raise OSError(ctypes.get_errno(), "no_new_privs cannot be set")
        _call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, of_files: int) -> None:
    """Keep the right to write to a file or below a folder."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rule = _PathBeneath(of_files | (CHANGE_FOLDER if is_folder else 0), descriptor)
        _call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(RULE_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def confined_command(writable: Sequence[str], command: Sequence[str]) -> list[str]:
    """A command line that runs another command confined, in the same process.

    Args:
        writable: Files and folders that it can write to, in addition to shared memory, terminals and accelerators.
        command: Full path of a program, and its arguments.
    """
    import glob

    places = [*writable, *(path for pattern in DEVICES for path in glob.glob(pattern))]
    return [sys.executable, "-I", "-S", __file__, str(len(places)), *places, *command]


def main(arguments: Sequence[str]) -> None:
    """Confine this process, then replace it by another program.

    Args:
        arguments: The number of writable paths, these paths, the program, and its arguments.
    """
    num_places = int(arguments[0])
    command = list(arguments[1 + num_places :])
    confine(arguments[1 : 1 + num_places])
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
