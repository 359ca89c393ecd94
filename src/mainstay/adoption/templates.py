"""The texts that ``mainstay init`` writes: example workloads and the workflow that gates pull requests.

- :func:`import_example`, :func:`training_example`: a file of workloads.
- :func:`github_workflow`, :func:`calling_workflow`, :func:`report_workflow`: CI workflows.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import NamedTuple

from mainstay.adoption.survey import Script

IMPORT_EXAMPLE = Template('''\
"""Workloads of the gate: the cost of importing $package.

Replace them by what matters to the users of the project: one test that trains and records an accuracy with the fixture
``trial``, one that times a call with the fixture ``benchmark``.
"""

import pytest


@pytest.mark.performance(metric="import_time", margin=0.2)
def test_import_time(import_timer):
    """How long an import takes in a fresh interpreter."""
    import_timer("$package")


@pytest.mark.deterministic(metric="imported_modules", margin=0.05)
def test_imported_modules(counts):
    """How many modules an import loads: the same on every machine, however noisy."""
    counts.imports("$package")
''')

INFERENCE_EXAMPLE = Template("""

# To gate the time of $name, give it an input:
#
# @pytest.mark.performance(margin=0.1)
# def test_$function(benchmark):
#     benchmark($name, ...)
""")

TRAINING_EXAMPLE = Template('''\
"""Workloads of the gate: a short training by $path, judged by the $metric that it prints.

A faster and clearer workload calls the functions of the script, uses ``trial.seed`` for everything random and records the
weights with ``trial.record_digest``.
"""

import contextlib
import importlib
import io
import random
import re
import runpy
import sys

import pytest

ARGUMENTS = $arguments
"""Arguments that shorten the training; the shorter it is, the more pairs fit into the gate's budget."""

PRINTED = re.compile(r"$pattern", re.IGNORECASE)
"""How the script prints its $metric; the last number counts."""


def seed_everything(seed):
    """Make the training depend on nothing random but the seed; a seed that the script sets itself would undo that."""
    random.seed(seed)
    with contextlib.suppress(ImportError):
        importlib.import_module("numpy").random.seed(seed % 2**32)
    with contextlib.suppress(ImportError):
        importlib.import_module("torch").manual_seed(seed)


@pytest.mark.accuracy(metric="$metric", margin=$margin$direction)
def test_training(trial, monkeypatch):
    """The $metric that the script prints last."""
    monkeypatch.setattr(sys, "argv", ["$module", *ARGUMENTS$seed])
    seed_everything(trial.seed)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), contextlib.suppress(SystemExit):
        runpy.run_module("$module", run_name="__main__", alter_sys=True)
    numbers = PRINTED.findall(printed.getvalue())
    assert numbers, f"the script printed no $metric:\\n{printed.getvalue()[-2000:]}"
    value, percent = numbers[-1]
    trial.record($metric=float(value) / (100 if percent else 1))
''')

WORKFLOW = Template("""\
name: Gate

on:
  pull_request:
  merge_group:
  workflow_dispatch:

permissions: {}

concurrency:
  group: gate-$${{ github.ref }}
  cancel-in-progress: true

jobs:
  gate:
    name: gate
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          fetch-depth: 0 # the gate compares with the merge base
          persist-credentials: false
      - uses: actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0
        with:
          python-version: "$python"
      - run: python -m pip install "$requirement"
      - run: mainstay gate$folder --json gate/run.json --markdown gate/report.md --html gate/report.html
      - uses: actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a # v7.0.1
        if: $${{ !cancelled() }}
        with:
          name: gate
          path: gate
          if-no-files-found: ignore
""")


CALLING_WORKFLOW = Template("""\
name: Gate

on:
  push:
    branches: [$branch]
  pull_request:
  merge_group:
  workflow_dispatch:

permissions: {}

concurrency:
  group: gate-$${{ github.ref }}
  cancel-in-progress: $${{ github.event_name == 'pull_request' }}

jobs:
  gate:
    name: gate
    permissions:
      contents: read
    uses: $repository/.github/workflows/gate-reusable.yml@$commit # $version
    with:
      python-version: "$python"
""")

REPORT_WORKFLOW = Template("""\
name: Gate report

on:
  workflow_run: # zizmor: ignore[dangerous-triggers] checks nothing out; the artifact is validated data
    workflows: [Gate]
    types: [completed]

permissions: {}

concurrency:
  group: gate-report-$${{ github.event.workflow_run.head_repository.full_name }}-$${{ github.event.workflow_run.head_branch }}
  cancel-in-progress: false

jobs:
  comment:
    name: comment
    if: github.event.workflow_run.event == 'pull_request'
    permissions:
      actions: read # fetches the artifact
      pull-requests: write # writes the comment
    uses: $repository/.github/workflows/gate-report-reusable.yml@$commit # $version
""")

DEPENDABOT = """\
version: 2
updates:
  - package-ecosystem: github-actions
    directory: /
    schedule:
      interval: weekly
    cooldown:
      default-days: 7
"""
"""Settings of dependabot that keep the commits current to which workflows are pinned."""


class Pin(NamedTuple):
    """A commit of mainstay's repository on GitHub, whose reusable workflows a project calls.

    Attributes:
        repository: Owner and name.
        commit: Full hash.
        version: Release or other name of the commit, for readers and dependabot.
    """

    repository: str
    commit: str
    version: str


def import_example(package: str, functions: Sequence[str] = ()) -> str:
    """Workloads for any package: the time of its import, and the modules that the import loads.

    Args:
        package: Name of the package.
        functions: Full names of functions for inference; the first one is suggested as the next function to time.

    Example:
        >>> 'import_timer("subject")' in import_example("subject")
        True
    """
    text = IMPORT_EXAMPLE.substitute(package=package)
    for name in functions[:1]:
        text += INFERENCE_EXAMPLE.substitute(name=name, function=name.rpartition(".")[2])
    return text


def training_example(script: Script) -> str:
    """A workload that runs a training script and records the number that it prints.

    Args:
        script: The script; its metric is known.

    Example:
        >>> text = training_example(Script(path="train.py", module="train", metric="accuracy", takes_seed=True))
        >>> '["train", *ARGUMENTS, "--seed", str(trial.seed)]' in text
        True
    """
    is_accuracy = script.metric == "accuracy"
    arguments = [word for option in script.short_options[:1] for word in (option, "1")]
    return TRAINING_EXAMPLE.substitute(
        path=script.path,
        module=script.module,
        metric=script.metric,
        arguments="[" + ", ".join(f'"{word}"' for word in arguments) + "]",
        pattern=("acc(?:uracy)?" if is_accuracy else "loss") + r"[^\d\n]{0,20}(\d+(?:\.\d+)?(?:e[-+]?\d+)?)\s*(%?)",
        margin="0.01" if is_accuracy else "0.05",
        direction=", ceiling=0.9999" if is_accuracy else ', direction="lower", unit="1"',
        seed=', "--seed", str(trial.seed)' if script.takes_seed else "",
    )


def github_workflow(requirement: str, python: str, folder: str = "") -> str:
    """A workflow of GitHub Actions that gates pull requests and the merge queue.

    Args:
        requirement: Requirement from which pip installs mainstay.
        python: Version of Python, such as ``3.12``.
        folder: The project's folder in the repository; empty for the top.

    Example:
        >>> "pip install mainstay==1.0".split()[-1] in github_workflow("mainstay==1.0", "3.12")
        True
    """
    return WORKFLOW.substitute(requirement=requirement, python=python, folder=f" -C {folder}" if folder else "")


def calling_workflow(pin: Pin, python: str, *, branch: str, folder: str = "") -> str:
    """A workflow of GitHub Actions that calls mainstay's reusable gate for pull requests, the merge queue and pushes.

    Args:
        pin: The commit that is called; it is also the version of the tool.
        python: Version of Python, such as ``3.12``.
        branch: Default branch of the project.
        folder: The project's folder in the repository; empty for the top.

    Example:
        >>> pin = Pin("owner/mainstay", "c0ffee" * 6 + "c0ff", "v1.0")
        >>> calling_workflow(pin, "3.12", branch="main").splitlines()[-3].strip()[:55]
        'uses: owner/mainstay/.github/workflows/gate-reusable.ym'
    """
    text = CALLING_WORKFLOW.substitute(**pin._asdict(), python=python, branch=branch)
    return f"{text}      working-directory: {folder}\n" if folder else text


def report_workflow(pin: Pin) -> str:
    """A workflow that comments on pull requests, those from forks included, in which no code of the project runs.

    Args:
        pin: The commit that is called.

    Example:
        >>> "workflow_run" in report_workflow(Pin("owner/mainstay", "c0ffee", "v1.0"))
        True
    """
    return REPORT_WORKFLOW.substitute(**pin._asdict())
