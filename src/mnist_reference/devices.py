"""The device that a model runs on, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

from mnist_reference.errors import DeviceError

DEVICE_NAMES = ("auto", "cpu", "cuda", "mps")


def device_by_name(name: str, environment: Mapping[str, str] = os.environ) -> torch.device:
    """The device with a name.

    Args:
        name: Name of the device; ``auto`` selects the first available one of CUDA, MPS and CPU.
        environment: Environment variables, in which ``torchrun`` sets ``LOCAL_RANK``, the number of this process on
            this machine. If there are several CUDA devices, the one with this number is used.

    Raises:
        DeviceError: If the requested device does not exist.

    Example:
        >>> device_by_name("cpu")
        device(type='cpu')
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, is_present in present.items() if is_present)
    if not present.get(name, False):
        raise DeviceError(
            f"no {name} device", looked_in=f"torch {torch.__version__}", next_step="--device auto takes what is there"
        )
    if name == "cuda" and "LOCAL_RANK" in environment:
        return _numbered(int(environment["LOCAL_RANK"]))
    return torch.device(name)


def _numbered(rank: int) -> torch.device:
    """The CUDA device of a process, made its current one."""
    if rank >= torch.cuda.device_count():
        raise DeviceError(
            f"process {rank} has no CUDA device of its own",
            looked_in=f"{torch.cuda.device_count()} devices",
            next_step="start as many processes as there are devices",
        )
    device = torch.device("cuda", rank)
    torch.cuda.set_device(device)
    return device
