"""Measurement of an import in a fresh interpreter: its time, and the modules it loads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import run_delay
from .digests import RecordingError

IMPORT_SECONDS = 600.0
"""Seconds that an import in a fresh interpreter may take."""


IMPORT_PROBE = """
import builtins, sys
from time import perf_counter as clock
load, listed, mapping, attribute, text, write, modules = __import__, list, dict, getattr, repr, open, sys.modules
name, place, meters, ignores_children = sys.argv[1:]
own = {"__builtins__": mapping(vars(builtins)), "__name__": "run_delay"}
with write(meters, encoding="utf-8") as stream:
    exec(compile(stream.read(), meters, "exec"), own)
before = set(modules)
with own["RunDelayMeter"]() as meter:
    meter.ignores_children = ignores_children == "True"
    reading = meter.read()
    start = clock()
    load(name)
    seconds = clock() - start
    seconds -= meter.take_off(reading, seconds)
    spent = meter.spent if meter.is_known and not (meter.ignores_children and meter.has_children) else None
loaded = mapping((key, attribute(modules[key], "__file__", None)) for key in listed(modules) if key not in before)
with write(place, "w", encoding="utf-8") as stream:
    stream.write(text((seconds, spent, loaded)))
"""
"""Program that imports a module and writes its time, what it was spent in, and the loaded modules with their files.

All functions that it uses are bound before the import, since a module may replace clocks and built-in functions.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One import in a fresh interpreter.

    Attributes:
        seconds: Duration of the import, without its run delay.
        spent: What the duration was spent in; ``None`` if the run delay is unknown.
        modules: File of every module that it loaded, by name; ``None`` for modules without a file.
    """

    seconds: float
    spent: run_delay.Spent | None
    modules: Mapping[str, str | None]


def probe_import(module: str, *, ignores_children: bool = False) -> Import:
    """Import a module in a fresh interpreter of this environment.

    Args:
        module: Full name of the module.
        ignores_children: As in :class:`~mainstay.runner.run_delay.RunDelayMeter`.

    Raises:
        RecordingError: If it cannot be imported.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "import.txt")
        command = [sys.executable, "-P", "-c", IMPORT_PROBE, module, place, run_delay.__file__, str(ignores_children)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=IMPORT_SECONDS, check=False
        )
        try:
            with open(place, encoding="utf-8") as stream:
                seconds, spent, modules = ast.literal_eval(stream.read())
        except (OSError, ValueError, SyntaxError):
            cause = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise RecordingError(f"{module} cannot be imported in a fresh interpreter: {cause}") from None
    return Import(seconds=seconds, spent=spent, modules=modules)


def is_within(name: str, roots: Sequence[str]) -> bool:
    """Whether a module is one of the roots or lies below one.

    Example:
        >>> is_within("package.part", ["package"]), is_within("packages", ["package"])
        (True, False)
    """
    return any(name == root or name.startswith(f"{root}.") for root in roots)
