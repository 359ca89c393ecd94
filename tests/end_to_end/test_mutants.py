"""A gate that is broken on purpose must turn the suite red."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mainstay

JUDGED = "return (*confirmed, *self._settled)"

MUTANTS = {
    "always-passes": (
        "measurement.py",
        JUDGED,
        "return tuple(replace(f, verdict=Verdict.PASS) for f in (*confirmed, *self._settled))",
    ),
    "always-fails": (
        "measurement.py",
        JUDGED,
        "return tuple(replace(f, verdict=Verdict.FAIL) for f in (*confirmed, *self._settled))",
    ),
    "skips-the-baseline": (
        "workers.py",
        "worker = stack.enter_context(Worker(self.specs[side], select, launcher, deadline=deadline))",
        "worker = stack.enter_context(Worker(self.specs[Side.CANDIDATE], select, launcher, deadline=deadline))",
    ),
}


def run_suite(source: Path, cache: Path) -> int:
    """Run two tests of the suite, a pass and a fail, with a copy of the package."""
    command = [sys.executable, "-m", "pytest", str(Path(__file__).with_name("test_gate.py")), "-q"]
    command += ["-p", "no:cacheprovider", "-k", "exactly_on_two_seeds and docstring or a_loss_fails"]
    environ = {**os.environ, "PYTHONPATH": str(source), "MAINSTAY_TESTS_CACHE": str(cache)}
    return subprocess.run(
        command, env=environ, capture_output=True, check=False, cwd=Path(__file__).parents[2]
    ).returncode


@pytest.fixture
def copy(tmp_path):
    """A copy of the package that stands before the installed one."""
    shutil.copytree(Path(mainstay.__file__).parent, tmp_path / "mainstay", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_an_unchanged_copy_is_green(copy, environments_cache):
    assert run_suite(copy, environments_cache) == 0


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_turns_the_suite_red(copy, environments_cache, name):
    file, find, replacement = MUTANTS[name]
    text = (copy / "mainstay" / file).read_text()
    assert text.count(find) == 1
    (copy / "mainstay" / file).write_text(text.replace(find, replacement))

    assert run_suite(copy, environments_cache) == 1
