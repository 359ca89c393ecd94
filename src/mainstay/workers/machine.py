"""Description of the machine, without anything that identifies its owner."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import psutil

from mainstay.records.hosts import Facts
from mainstay.records.runs import Machine


def describe_machine() -> Machine:
    """The machine as it is now.

    Example:
        >>> describe_machine().num_cores >= 1
        True
    """
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        processor=processor_name(),
        num_cores=usable_cores(),
        memory_bytes=psutil.virtual_memory().total,
        accelerator=accelerator_name(),
        load_at_start=psutil.getloadavg()[0],
    )


def device_kind(machine: Machine) -> str:
    """What a machine computes with: accuracies from two kinds of devices do not belong to one gate.

    The model of the processor does not count: it may change the last bit of a result, and both trials of a pair always
    run on one machine.

    Args:
        machine: Description of the machine.

    Example:
        >>> device_kind(
        ...     Machine(system="Linux 6.8", architecture="x86_64", processor="a", num_cores=2, memory_bytes=1)
        ... )
        'Linux x86_64 without a GPU'
    """
    device = f"with {machine.accelerator}" if machine.accelerator else "without a GPU"
    return f"{machine.system.partition(' ')[0]} {machine.architecture} {device}"


@cache
def describe_host() -> Facts:
    """The facts of this machine and process that all machines of a gate must share."""
    return Facts(
        python=".".join(map(str, sys.version_info[:3])),
        mainstay=version("mainstay"),
        device=device_kind(describe_machine()),
    )


def usable_cores() -> int:
    """Logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name(info: Path = Path("/proc/cpuinfo")) -> str:
    """Model name of the processor; the architecture if it is unknown."""
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = _text(info).splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def nvidia_name() -> str:
    """Name of the first NVIDIA GPU; empty without one."""
    return _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").partition("\n")[0].strip()


def accelerator_name(amd: Path = Path("/sys/class/kfd/kfd/topology/nodes")) -> str:
    """Name of the first NVIDIA GPU, or else the architecture of the first one of AMD; empty without either.

    Args:
        amd: Folder in which the driver of AMD's GPUs describes its devices.
    """
    lines = (line.split() for node in sorted(amd.glob("*/properties")) for line in _text(node).splitlines())
    versions = (words[-1] for words in lines if words[:1] == ["gfx_target_version"])
    return nvidia_name() or next((f"AMD GPU, gfx version {version}" for version in versions if version != "0"), "")


PROCESSOR_FIELDS = frozenset(
    {
        *("vendor_id", "cpu family", "model", "model name", "stepping", "cache size", "flags"),
        *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
    }
)
"""Fields of ``/proc/cpuinfo`` that may affect results: those of x86 first, then those of ARM."""

DISPLAY, ACCELERATOR = "0x03", "0x12"
"""Beginnings of the PCI classes of devices that may compute."""


def computing_traits(
    info: Path = Path("/proc/cpuinfo"),
    devices: Path = Path("/sys/bus/pci/devices"),
    driver: Path = Path("/proc/driver/nvidia/version"),
) -> tuple[str, ...]:
    """Known traits of the machine and its software that may change the last bit of a result.

    These are the processor with its instruction sets and the number of usable cores, the operating system, the devices
    that may compute (those of NVIDIA as named by their driver), and that driver. No library is imported to find out,
    since the devices that a library sees also depend on environment variables.

    Args:
        info: File in which Linux describes the processor.
        devices: Folder in which Linux lists the PCI devices.
        driver: File in which the NVIDIA driver states its version.

    Example:
        >>> computing_traits() == computing_traits()
        True
    """
    return (
        *(platform.system(), platform.release(), platform.version(), platform.machine()),
        str(usable_cores()),
        *_processor_traits(info),
        *_pci_traits(devices),
        _output("nvidia-smi", "-L"),
        _text(driver),
    )


def _processor_traits(info: Path) -> Iterator[str]:
    """Traits of the processor: each different line once; on macOS, those that the kernel reports."""
    if not info.exists():
        yield _output("sysctl", "machdep.cpu")
        return
    lines = (line.partition(":") for line in info.read_text(encoding="utf-8").splitlines())
    yield from sorted({f"{name.strip()}:{value}" for name, _, value in lines if name.strip() in PROCESSOR_FIELDS})


def _pci_traits(devices: Path) -> Iterator[str]:
    """Vendor and model of each device that may compute."""
    for device in sorted(devices.glob("*")):
        kind, *model = (_text(device / name) for name in ("class", "vendor", "device"))
        if kind.startswith((DISPLAY, ACCELERATOR)):
            yield " ".join(model)


def _text(file: Path) -> str:
    """Text of a small file; empty if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _output(program: str, *arguments: str) -> str:
    """Output of a program; empty if it is not installed or fails."""
    command = shutil.which(program)
    if command is None:
        return ""
    try:
        return subprocess.run([command, *arguments], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
