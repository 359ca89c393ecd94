"""Accelerators that the workload uses through torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

DEVICE_FILES = ("/dev/nvidia", "/dev/kfd", "/dev/dri", "/dev/accel")
"""Beginnings of the names of device files by which Linux gives access to accelerators."""


def accelerators_in_use() -> tuple[Callable[[], None], ...]:
    """Functions that each wait until one accelerator is done; none if torch uses no accelerator.

    No other device is touched, since waiting for a CUDA device that is not in use takes memory on it.
    """
    torch = sys.modules.get("torch")
    return () if torch is None else tuple(_waits(torch))


def has_accelerator_open() -> bool:
    """Whether this process has opened the device file of an accelerator, by any library."""
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return False
    return any(_target(name).startswith(DEVICE_FILES) for name in descriptors)


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # it is closed by now
        return ""


def _waits(torch: Any) -> Iterator[Callable[[], None]]:
    for kind in ("cuda", "xpu"):
        module = getattr(torch, kind, None)  # before torch 2.4, there is no torch.xpu
        if module is not None and module.is_initialized():
            for device in range(module.device_count()):
                if device == module.current_device() or _has_memory(module, device):
                    yield partial(module.synchronize, device)
    mps = getattr(torch.backends, "mps", None)
    if mps is not None and mps.is_available():
        yield torch.mps.synchronize


def _has_memory(module: Any, device: int) -> bool:
    """Whether torch holds memory on a device, or cannot say so."""
    try:
        return bool(module.memory_reserved(device) > 0)
    except RuntimeError:  # an allocator that counts nothing, as a plugin may be
        return True
