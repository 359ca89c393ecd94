"""A gate that is broken on purpose must turn the suite red."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mainstay
from tests.slow_cases import some_always

JUDGED = "return (*confirmed, *(findings[sample.metric.id] for sample in means), *self.settled)"

MUTANTS = {
    "always-passes": (
        "measuring/loop.py",
        JUDGED,
        "return tuple(replace(f, verdict=Verdict.PASS) for f in (*confirmed, *self.settled))",
    ),
    "always-fails": (
        "measuring/loop.py",
        JUDGED,
        "return tuple(replace(f, verdict=Verdict.FAIL) for f in (*confirmed, *self.settled))",
    ),
    "skips-the-baseline": (
        "workers/pairs.py",
        "                specs[side],\n",
        "                specs[Side.CANDIDATE],\n",
    ),
}


RULES = {
    "margin-of-the-candidate": (
        "measuring/strictness.py",
        "margin=min(baseline.margin, candidate.margin)",
        "margin=candidate.margin",
        "measuring/test_agenda.py",
    ),
    "settings-of-the-candidate": (
        "measuring/strictness.py",
        "return min((margin for margin in self._said(metric, context) if margin is not None), default=metric.margin)",
        "return next((margin for margin in reversed(self._said(metric, context)) if margin is not None), metric.margin)",
        "measuring/test_strictness.py",
    ),
    "removal-passed-over": (
        "measuring/agenda.py",
        "return None, [_missing(metric, _REMOVED) for metric in workload.metrics]",
        "return None, []",
        "measuring/test_agenda.py",
    ),
    "skip-that-counts-as-pass": (
        "measuring/ledger.py",
        "if self.assignment.missing and",
        "if False and",
        "measuring/test_loop.py",
    ),
    "changed-harness-that-passes": (
        "measuring/ledger.py",
        "if review and finding",
        "if False and finding",
        "measuring/test_loop.py",
    ),
    "policy-over-review": (
        "gates/policy.py",
        "return policy or (3 if any(finding.needs_review or finding.is_doubted for finding in findings) else 0)",
        "return policy",
        "gates/test_policy.py",
    ),
    "sweep-that-trusts-what-it-finds": (
        "store/scratch.py",
        "if owner == repository or (owner is not None and not owner.exists()) or _is_unborn(folder):",
        "if True:",
        "store/test_scratch.py",
    ),
    "unverified-layer": (
        "revisions/layers.py",
        "elif manifest := self._verified():",
        "elif manifest := is_complete(self.place) and read_manifest(_manifest_place(self.place)):",
        "revisions/test_layers.py::test_a_changed_layer_is_thrown_away_and_built_again_and_the_reader_is_told",
    ),
    "uncapped-degradation": (
        "gates/family.py",
        "block = np.clip(block, -cap, cap)",
        "block = np.clip(block, -np.inf, np.inf)",
        "gates/test_family.py::test_an_explosion_in_every_pair_fails_at_the_first_look",
    ),
    "prepared-by-the-candidate": (
        "commands/collecting.py",
        "agenda = with_review(agenda, ",
        "agenda = (lambda agenda, review: agenda)(agenda, ",
        "end_to_end/test_hostile_candidates.py::test_a_changed_prepare_command_needs_a_review",
    ),
}


ALWAYS = {"margin-of-the-candidate"}
"""Rules whose mutants are tried in every run of the suite; the others are tried with the slow tests."""


def run_suite(source: Path, cache: Path) -> int:
    """Run two tests of the suite, a pass and a fail, with a copy of the package."""
    file, chosen = "end_to_end/test_gate.py", "exactly_on_two_seeds and refactor or evaluation_code_alone"
    return run_tests(source, file, "-x", "-k", chosen, MAINSTAY_TESTS_CACHE=str(cache))


def run_tests(source: Path, file: str, *options: str, **variables: str) -> int:
    """Run tests with a copy of the package."""
    command = [sys.executable, "-m", "pytest", str(Path(__file__).parents[1] / file), "-q", "-p", "no:cacheprovider"]
    command += options
    environ = {**os.environ, "PYTHONPATH": str(source), **variables}
    return subprocess.run(
        command, env=environ, capture_output=True, check=False, cwd=Path(__file__).parents[2]
    ).returncode


@pytest.fixture
def copy(tmp_path):
    """A copy of the package that stands before the installed one."""
    shutil.copytree(Path(mainstay.__file__).parent, tmp_path / "mainstay", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_mutant_quotes_one_place_of_the_package_as_it_is():
    package = Path(mainstay.__file__).parent
    quoted = {(file, find) for file, find, *_ in (*MUTANTS.values(), *RULES.values())}

    assert [place for place in quoted if (package / place[0]).read_text("utf-8").count(place[1]) != 1] == []


@pytest.mark.slow
def test_an_unchanged_copy_is_green(copy, environments_cache):
    assert run_suite(copy, environments_cache) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_turns_the_suite_red(copy, environments_cache, name):
    file, find, replacement = MUTANTS[name]
    text = (copy / "mainstay" / file).read_text()
    assert text.count(find) == 1
    (copy / "mainstay" / file).write_text(text.replace(find, replacement))

    assert run_suite(copy, environments_cache) == 1


@pytest.mark.parametrize("name", some_always(RULES, ALWAYS))
def test_a_rule_that_lets_a_change_loosen_what_judges_it_turns_its_tests_red(copy, name):
    file, find, replacement, tests = RULES[name]
    text = (copy / "mainstay" / file).read_text()
    assert text.count(find) == 1
    (copy / "mainstay" / file).write_text(text.replace(find, replacement))

    assert run_tests(copy, tests, "-x") == 1
