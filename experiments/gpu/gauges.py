"""Clocks, power and throttling of a GPU while something is measured.

- :class:`Reading`: what the driver says at one moment; :class:`Gauge`: what reads it.
- :class:`NvmlGauge`: reads the first NVIDIA GPU by NVML.
- :class:`Watch`: reads again and again in a thread of its own.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Any, Protocol, Self

INTERVAL_S = 0.1

REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "too warm, by software",
    0x40: "too warm, by hardware",
    0x80: "power brake",
}
"""Bits of NVML's reasons for a lower clock; idling and clocks that an application has set are none of these."""

THROTTLED = frozenset(REASONS.values()) - {"power cap"}
"""What spoils a pair. Under a power cap both revisions, which take turns every few milliseconds, run at the same clock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a GPU's driver says at one moment.

    Attributes:
        clock_mhz: Clock of the multiprocessors.
        memory_clock_mhz: Clock of the memory.
        power_w: Power drawn.
        temperature_c: Temperature of the chip.
        reasons: Why the clock is lowered, in words.
    """

    clock_mhz: int
    memory_clock_mhz: int
    power_w: float
    temperature_c: int
    reasons: tuple[str, ...] = ()


class Gauge(Protocol):
    """Something that reads a GPU."""

    def name(self) -> str:
        """Name of the GPU and version of its driver."""

    def read(self) -> Reading:
        """What is so now."""


class NvmlGauge:
    """Reads the first NVIDIA GPU that this process may use; needs the package ``nvidia-ml-py``."""

    def __init__(self) -> None:
        self._nvml: Any = importlib.import_module("pynvml")
        self._nvml.nvmlInit()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        if visible.isdecimal():
            self._device = self._nvml.nvmlDeviceGetHandleByIndex(int(visible))
        else:
            self._device = self._nvml.nvmlDeviceGetHandleByUUID(visible)

    def name(self) -> str:
        """Name of the GPU and version of its driver."""
        return f"{self._nvml.nvmlDeviceGetName(self._device)}, driver {self._nvml.nvmlSystemGetDriverVersion()}"

    def read(self) -> Reading:
        """What is so now."""
        nvml, device = self._nvml, self._device
        bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device)
        return Reading(
            clock_mhz=nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM),
            memory_clock_mhz=nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_MEM),
            power_w=nvml.nvmlDeviceGetPowerUsage(device) / 1000,
            temperature_c=nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU),
            reasons=tuple(name for bit, name in REASONS.items() if bits & bit),
        )


def load_gauge(place: str) -> Gauge:
    """A gauge by its place, such as ``experiments.gpu.gauges:NvmlGauge``."""
    module, _, name = place.partition(":")
    gauge: Gauge = getattr(importlib.import_module(module), name)()
    return gauge


class Watch:
    """Reads a gauge in a thread of its own, at once and then again and again until the context is left.

    Args:
        gauge: What is read.
        interval_s: Seconds between two readings.
    """

    def __init__(self, gauge: Gauge, interval_s: float = INTERVAL_S) -> None:
        self.readings: list[Reading] = []
        self._gauge, self._interval_s = gauge, interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read_on, daemon=True)

    def __enter__(self) -> Self:
        self.readings.append(self._gauge.read())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.readings.append(self._gauge.read())

    def _read_on(self) -> None:
        while not self._ended.wait(self._interval_s):
            self.readings.append(self._gauge.read())


def summarise(readings: Sequence[Reading]) -> dict[str, Any]:
    """Clocks, power, temperature and the reasons for lower clocks over some readings.

    Example:
        >>> cool = Reading(clock_mhz=1980, memory_clock_mhz=3201, power_w=300.0, temperature_c=40)
        >>> warm = Reading(clock_mhz=900, memory_clock_mhz=3201, power_w=650.0, temperature_c=90, reasons=("power brake",))
        >>> summarise([cool, cool, warm])["clock_mhz"], summarise([cool, warm])["reasons"]
        ({'median': 1980, 'least': 900}, ['power brake'])
    """
    return {
        "num_readings": len(readings),
        "clock_mhz": {
            "median": median(each.clock_mhz for each in readings),
            "least": min(each.clock_mhz for each in readings),
        },
        "memory_clock_mhz": median(each.memory_clock_mhz for each in readings),
        "most_power_w": max(each.power_w for each in readings),
        "most_temperature_c": max(each.temperature_c for each in readings),
        "reasons": sorted({reason for each in readings for reason in each.reasons}),
    }


def is_throttled(readings: Sequence[Reading]) -> bool:
    """Whether the clock was lowered by heat or by hardware at any of some readings, whichever revision was running."""
    return any(not THROTTLED.isdisjoint(each.reasons) for each in readings)


def wait_until_cool(gauge: Gauge, *, at_most_s: float) -> float:
    """Wait while the clock is lowered by heat or by hardware, but not for ever; return the seconds."""
    start = time.monotonic()
    while is_throttled([gauge.read()]) and time.monotonic() - start < at_most_s:
        time.sleep(INTERVAL_S)
    return time.monotonic() - start
