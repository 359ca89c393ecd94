"""The texts that ``mainstay init`` writes: example workloads and the workflow that gates pull requests.

They are files beside this module, in which ``$NAME`` stands for what depends on the project.

- :func:`import_example`, :func:`training_example`: a file of workloads.
- :func:`github_workflow`, :func:`calling_workflow`, :func:`report_workflow`: CI workflows.
- :func:`works_in`: whether a workflow works in a folder of its repository.
- :func:`dependabot_settings`: what keeps the commits current to which workflows are pinned.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import NamedTuple

from mainstay.adoption.survey import Script


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
    text = _filled("import_example.py.txt", package=package)
    for name in functions[:1]:
        text += _filled("inference_example.py.txt", name=name, function=name.rpartition(".")[2])
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
    return _filled(
        "training_example.py.txt",
        path=script.path,
        module=script.module,
        metric=script.metric,
        arguments="[" + ", ".join(f'"{word}"' for word in arguments) + "]",
        pattern=("acc(?:uracy)?" if is_accuracy else "loss") + r"[^\d\n]{0,20}(\d+(?:\.\d+)?(?:e[-+]?\d+)?)\s*(%?)",
        margin="0.01" if is_accuracy else "0.05",
        direction=", ceiling=0.9999" if is_accuracy else ', direction="lower", unit="1"',
        seed=', "--seed", str(trial.seed)' if script.takes_seed else "",
    )


def github_workflow(requirement: str, python: str, folder: str = "", suffix: str = "") -> str:
    """A workflow of GitHub Actions that gates pull requests and the merge queue.

    Args:
        requirement: Requirement from which pip installs mainstay.
        python: Version of Python, such as ``3.12``.
        folder: The project's folder in the repository; empty for the top.
        suffix: End of the names of workflow, job and artifact, if the repository has other gates.

    Example:
        >>> "pip install mainstay==1.0".split()[-1] in github_workflow("mainstay==1.0", "3.12")
        True
    """
    option = f" -C {shlex.quote(folder)}" if folder else ""
    return _filled("gate.yml", requirement=shlex.quote(requirement), python=python, folder=option, suffix=suffix)


def calling_workflow(pin: Pin, python: str, *, branch: str, folder: str = "", suffix: str = "") -> str:
    """A workflow of GitHub Actions that calls mainstay's reusable gate for pull requests, the merge queue and pushes.

    Args:
        pin: The commit that is called; it is also the version of the tool.
        python: Version of Python, such as ``3.12``.
        branch: Default branch of the project.
        folder: The project's folder in the repository; empty for the top.
        suffix: End of the names of workflow, job and artifact, if the repository has other gates.

    Example:
        >>> pin = Pin("owner/mainstay", "c0ffee" * 6 + "c0ff", "v1.0")
        >>> calling_workflow(pin, "3.12", branch="main").splitlines()[-3].strip()[:55]
        'uses: owner/mainstay/.github/workflows/gate-reusable.ym'
    """
    text = _filled("calling_gate.yml", **pin._asdict(), python=python, branch=_yaml(branch), suffix=suffix)
    text += f"      artifact: gate{suffix}\n" if suffix else ""
    return f"{text}      working-directory: {_yaml(folder)}\n" if folder else text


_TO_FOLDER = r"(?:working-directory:|-C|\bcd) +[\"']?"
"""What a workflow says before the name of the folder that it works in, as a regular expression."""


def works_in(folder: str, text: str) -> bool:
    """Whether a workflow works in a folder of its repository, as the workflows of this module or a person would say it.

    Args:
        folder: Relative to the top of the repository.
        text: Of the workflow.

    Example:
        >>> [works_in("pkgs/one", f"working-directory: {path}") for path in ("./pkgs/one/", "pkgs/one-more")]
        [True, False]
    """
    forms = "|".join(map(re.escape, (folder, _yaml(folder), shlex.quote(folder))))
    return re.search(rf"{_TO_FOLDER}(?:\./)?(?:{forms})/?(?![\w./-])", text) is not None


def works_below(text: str) -> bool:
    """Whether a workflow works in any folder of its repository.

    Args:
        text: Of the workflow.

    Example:
        >>> works_below("run: cd pkgs/one && mainstay gate"), works_below("working-directory: '.'")
        (True, False)
    """
    return re.search(rf"{_TO_FOLDER}(?!\.[\"'\s])[\w.]", text) is not None


def report_workflow(pin: Pin) -> str:
    """A workflow that comments on pull requests, those from forks included, in which no code of the project runs.

    Args:
        pin: The commit that is called.

    Example:
        >>> "workflow_run" in report_workflow(Pin("owner/mainstay", "c0ffee", "v1.0"))
        True
    """
    return _filled("gate_report.yml", **pin._asdict())


def dependabot_settings() -> str:
    """Settings of dependabot that keep the commits current to which workflows are pinned."""
    return _filled("dependabot.yml")


def _yaml(text: str) -> str:
    """A text as a quoted YAML scalar, which no reader takes for a number, a list or a comment."""
    return json.dumps(text, ensure_ascii=False)


def _filled(file: str, /, **values: str) -> str:
    """The text of a file, with values in place of their names."""
    text = files("mainstay.adoption").joinpath("texts", file).read_text(encoding="utf-8")
    return Template(text).substitute(values)
