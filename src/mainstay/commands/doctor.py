"""Checks of the machine and the project that show what would stop a gate.

A quick examination starts no process except git. A full one also calls nvidia-smi and the interpreter of an environment
that an earlier gate has cached, and can rehearse a gate up to its first pair
(:mod:`mainstay.commands.rehearsal`).

- :func:`examine`: all checks, as a :class:`Report`.
- :func:`render_text`, :func:`render_json`: the report for a person and for a program.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import uv
from platformdirs import user_cache_path

from mainstay.adoption.survey import FIXTURES, count_workloads
from mainstay.commands.start import Start, choose_baseline
from mainstay.project.configuration import Configuration, read_configuration
from mainstay.records.errors import MainstayError, StoreError
from mainstay.records.findings import Verdict
from mainstay.records.trials import Side
from mainstay.reports.cleaning import clean_lines
from mainstay.revisions import environments, git, layers, uv_commands
from mainstay.revisions.git import Choice, Repository
from mainstay.revisions.resolution import Resolution
from mainstay.runner import confinement
from mainstay.store import journal
from mainstay.store.files import FOLDER
from mainstay.store.integrity import describe_changes
from mainstay.workers import machine

if TYPE_CHECKING:
    from mainstay.commands.rehearsal import Rehearsal  # a quick examination imports nothing that measures

BUSY_FRACTION = 0.5
"""Load per processor above which timings are expected to be noisy."""

LAYER_BYTES = 8_000_000_000
"""Free disk space that a first gate may need: torch with CUDA unpacks to 5 GB, and its download takes 2 GB more."""

MINIMAL_BYTES = 500_000_000
"""Free disk space below which two worktrees, two small environments and a journal may not fit."""

TORCH_SECONDS = 120
"""Seconds that importing torch from a cold disk may take."""

TORCH_QUESTION = """
import torch
devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
print(torch.__version__, "sees", ", ".join(devices) or "no GPU")
"""


class State(StrEnum):
    """Result of a check."""

    OK = "ok"
    WARNING = "warning"
    """A gate can run, but something may be unexpected."""
    STOPPER = "stopper"
    """A gate would end with an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check and its result.

    Attributes:
        name: Name of the check.
        state: Effect of the result on a gate.
        found: The result, with its value.
        next_step: What the user can do; empty if nothing is needed.
    """

    name: str
    state: State = State.OK
    found: str
    next_step: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All checks, in the order in which a gate needs them."""

    checks: tuple[Check, ...]

    @property
    def exit_status(self) -> int:
        """0 if nothing would stop a gate, else 4.

        Example:
            >>> Report(checks=(Check(name="git", state=State.STOPPER, found="git is not installed"),)).exit_status
            4
        """
        return 4 if any(check.state is State.STOPPER for check in self.checks) else 0

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain mappings and lists."""
        return {"exit_status": self.exit_status, "checks": [asdict(check) for check in self.checks]}


def examine(
    path: Path,
    *,
    quick: bool,
    rehearse: Callable[..., Rehearsal] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Report:
    """Examine the machine, and the project that a folder belongs to.

    Args:
        path: A folder in the user's repository.
        quick: Whether to start no process but git.
        rehearse: Function that rehearses a gate up to its first pair, :func:`mainstay.commands.rehearsal.rehearse`; it
            is called unless something would stop a gate earlier.
        environ: Environment variables.

    Example:
        >>> report = examine(Path(tempfile.mkdtemp()), quick=True)
        >>> [check.found for check in report.checks if check.name == "repository"]
        ['not a git repository']
    """
    report = Report(checks=tuple(_checks(path, environ, quick=quick)))
    if rehearse is None or report.exit_status:
        return report
    return Report(checks=(*report.checks, *_rehearse(path, environ, rehearse)))


def render_text(report: Report) -> str:
    """Render a report for a terminal.

    Example:
        >>> print(render_text(Report(checks=(Check(name="git", found="2.39.5"),))))
        ok       git  2.39.5
        nothing would stop a gate
    """
    width = max((len(check.name) for check in report.checks), default=0)
    lines = []
    for check in report.checks:
        lines.append(f"{check.state:<7}  {check.name:<{width}}  {check.found}")
        if check.next_step:
            lines.append(f"{'':<7}  {'':<{width}}  next: {check.next_step}")
    stoppers = [check.name for check in report.checks if check.state is State.STOPPER]
    lines.append(f"a gate would stop at: {', '.join(stoppers)}" if stoppers else "nothing would stop a gate")
    return clean_lines("\n".join(lines))


def render_json(report: Report) -> str:
    """Render a report as JSON.

    Example:
        >>> json.loads(render_json(Report(checks=())))
        {'exit_status': 0, 'checks': []}
    """
    return json.dumps(report.to_dict(), indent=2)


def _checks(path: Path, environ: Mapping[str, str], *, quick: bool) -> Iterator[Check]:
    yield _check_platform(sys.platform)
    yield Check(name="python", found=f"{platform.python_version()}, also for the two revisions ({sys.executable})")
    yield _check_uv()
    try:
        yield Check(name="git", found=git.git_version())
    except MainstayError as error:
        yield _error("git", error)
    else:
        yield from _check_project(path, environ, quick=quick)
    yield _check_gpu(quick=quick)
    yield _check_load(psutil.getloadavg()[0], machine.usable_cores())
    yield _check_memory()
    yield _check_disk("disk for temporary files", Path(tempfile.gettempdir()), MINIMAL_BYTES)
    yield _check_disk("disk for environments", uv_commands.cache_folder(), MINIMAL_BYTES, roomy=LAYER_BYTES)
    yield _check_cache(environ)
    yield _check_protection()


def _stopper(name: str, found: str, next_step: str) -> Check:
    return Check(name=name, state=State.STOPPER, found=found, next_step=next_step)


def _warning(name: str, found: str, next_step: str = "") -> Check:
    return Check(name=name, state=State.WARNING, found=found, next_step=next_step)


def _error(name: str, error: MainstayError) -> Check:
    """Return the check for an error that would end a gate."""
    return _stopper(name, error.fact, error.next_step or "")


# --- the first gate --------------------------------------------------------------------------------------------------


def _rehearse(path: Path, environ: Mapping[str, str], rehearse: Callable[..., Rehearsal]) -> Iterator[Check]:
    """Say what the next gate would do, after rehearsing everything but the measuring."""
    try:
        found = rehearse(Repository.discover(path), environ=environ)
    except MainstayError as error:
        yield _error("rehearsal", error)
        return
    packages = f"packages: {len(found.packages)}, both revisions built in {found.build_s:.0f} s"
    yield Check(name="build", found=packages)
    if found.prepared:
        yield Check(name="prepare", found=found.prepared)
    for problem in found.problems:
        advice = "correct it, or move it out of the folder of the workloads"
        yield _stopper("workloads", f"{problem.id}: {problem.cause}", advice)
    for name, cause in found.failures.items():
        advice = "run it with pytest, then see the how-to 'give workloads their data'"
        yield _stopper("workloads", f"{name} fails: {cause}", advice)
    for workload in found.workloads:
        metrics = ", ".join(f"{metric.name} (margin {metric.margin:g})" for metric in workload.metrics)
        yield Check(name="workload", found=f"{workload.id}: {metrics}")
    yield _check_forecast(found)


def _check_forecast(found: Rehearsal) -> Check:
    """Say how long the first look takes, and whether it fits into the budget."""
    settings = found.configuration
    num_metrics = sum(len(workload.metrics) for workload in found.workloads)
    told = (
        f"{num_metrics} metrics; {settings.looks[0]} pairs up to the first look take about {found.first_look_s:.0f} s "
    )
    told += f"of the {settings.seconds:g} s for measuring"
    if found.pair_seconds < settings.pair_seconds:
        told += f", each timed workload {found.pair_seconds:.2g} s a pair in place of {settings.pair_seconds:g} s"
    if any(finding.verdict is Verdict.NEW for finding in found.findings):
        told += "; what is new is judged from the next change on"
    if found.first_look_s > settings.seconds:
        advice = f"raise 'seconds' in [tool.mainstay] to {2 * found.first_look_s:.0f}, or gate fewer workloads"
        return _warning("first look", told, advice)
    return Check(name="first look", found=told)


# --- the machine -------------------------------------------------------------------------------------------------------


def _check_platform(name: str) -> Check:
    found = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if name == "win32":
        advice = "run the gate in a Linux container; reports and configuration work here"
        return _stopper("platform", f"{found}: a gate needs Linux or macOS", advice)
    return Check(name="platform", found=found)


def _check_uv() -> Check:
    try:
        uv.find_uv_bin()
    except FileNotFoundError:
        return _stopper("uv", "its binary is missing", "pip install --force-reinstall uv")
    return Check(name="uv", found=version("uv"))


def _check_gpu(*, quick: bool) -> Check:
    if shutil.which("nvidia-smi") is None:
        return Check(name="gpu", found="no NVIDIA driver")
    if quick:
        return Check(name="gpu", found="there is an NVIDIA driver, which --quick does not query")
    name = machine.nvidia_name()
    if not name:
        advice = "run nvidia-smi to see why, if the workloads need a GPU"
        return _warning("gpu", "there is an NVIDIA driver that names no GPU", advice)
    return Check(name="gpu", found=name)


def _check_load(load: float, num_cores: int) -> Check:
    found = f"{load:.1f} of {num_cores} processors are busy"
    if load > BUSY_FRACTION * num_cores:
        advice = "end other work before timings are measured; the error rates hold, but the gate decides later"
        return _warning("load", found, advice)
    return Check(name="load", found=found)


def _check_memory() -> Check:
    memory = psutil.virtual_memory()
    return Check(name="memory", found=f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB are free")


def _check_disk(name: str, place: Path, minimal: float, *, roomy: float = 0.0) -> Check:
    """Check free disk space at the nearest existing folder, since an environment with torch is large."""
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.1f} GB are free in {place}"
    if free < minimal:
        return _stopper(name, found, "make room, or choose another disk")
    if free < roomy:
        advice = f"make room: a new set of dependencies with torch may take {roomy / 1e9:.0f} GB"
        return _warning(name, found, advice)
    return Check(name=name, found=found)


def _check_cache(environ: Mapping[str, str]) -> Check:
    try:
        return Check(name="cached environments", found=layers.describe_cache(layers.cache_limit(environ)))
    except MainstayError as error:
        return _error("cached environments", error)


def _check_protection() -> Check:
    found = confinement.describe_confinement()
    if confinement.can_confine():
        return Check(name="protection", found=found)
    advice = "gate untrusted code on Linux 5.19 or newer with Landlock, or in a disposable container"
    return _warning("protection", found, advice)


# --- the project -------------------------------------------------------------------------------------------------------


def _check_project(path: Path, environ: Mapping[str, str], *, quick: bool) -> Iterator[Check]:
    """Check the settings, revisions and workloads that a gate reads before it builds anything."""
    try:
        repository = Repository.discover(path)
        repository.refuse_tracked_runs()
        candidate = repository.candidate()
    except MainstayError as error:
        yield _error("repository", error)
        return
    yield Check(name="repository", found=str(repository.root))
    yield from _check_notes("candidate", candidate)
    content = repository.read_file(candidate.revision.commit, "pyproject.toml")
    try:
        configuration = read_configuration(content or b"", "pyproject.toml")
    except MainstayError as error:
        yield _error("configuration", error)
        return
    yield Check(name="configuration", found=_describe(configuration, has_file=content is not None))
    try:
        yield from _check_notes("baseline", choose_baseline(repository, candidate, configuration, environ=environ))
    except MainstayError as error:
        yield _error("baseline", error)
    yield _check_workloads(repository.root, configuration)
    yield from _check_data(repository.root, configuration, environ)
    yield _check_environment(repository.root, quick=quick)
    yield from _check_runs(repository.root)


def _describe(configuration: Configuration, *, has_file: bool) -> str:
    where = "valid" if has_file else "no pyproject.toml, so all defaults"
    looks = ", ".join(map(str, configuration.looks))
    return f"{where}: looks at {looks} pairs, at most {configuration.seconds:g} s of measuring"


def _check_notes(name: str, choice: Choice) -> Iterator[Check]:
    """Report the revision that a gate would use, with notes on it."""
    revision = choice.revision
    subject = "" if choice.is_snapshot else f" {revision.subject}"
    yield Check(name=name, found=f"{revision.name}: {revision.commit[:10]}{subject}")
    for note in choice.notes:
        yield _warning(name, note)


def _check_workloads(root: Path, configuration: Configuration) -> Check:
    folder = configuration.workloads
    advice = f"write one in {folder}/, or name the folder as 'workloads' in [tool.mainstay]"
    if not (root / folder).is_dir():
        return _stopper("workloads", f"no test measures: there is no folder {folder!r}", advice)
    texts = (
        path.read_text(encoding="utf-8", errors="replace") for path in (root / folder).rglob("*.py") if path.is_file()
    )
    num_workloads = count_workloads(texts, is_asv=bool(configuration.asv))
    if not num_workloads:  # how a test comes to measure cannot always be read from its file
        found = f"no test in {folder!r} seems to measure: none is marked benchmark or takes one of the fixtures "
        return _warning("workloads", f"{found}{', '.join(FIXTURES)}; a gate collects them, and may find more", advice)
    return Check(name="workloads", found=f"tests in {folder!r} that measure: {num_workloads}")


def _check_data(root: Path, configuration: Configuration, environ: Mapping[str, str]) -> Iterator[Check]:
    """Check the inputs that are not in git."""
    for path in configuration.share:
        if (root / path).exists():
            yield Check(name="data", found=f"{path} is shared with both revisions")
        else:
            advice = "fetch it, or remove it from 'share' in [tool.mainstay]"
            yield _stopper("data", f"the shared input {path!r} does not exist", advice)
    if any(re.search(r"\bmnist_reference\b", word) for word in configuration.prepare):
        yield _check_mnist(mnist_folder(environ), environ)


def mnist_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder in which the reference model keeps MNIST."""
    named = environ.get("MNIST_REFERENCE_ROOT")
    root = Path(named) if named else user_cache_path("mnist_reference", appauthor=False)
    return root / "MNIST" / "raw"


def _check_mnist(folder: Path, environ: Mapping[str, str]) -> Check:
    if (folder / "train-images-idx3-ubyte").exists():
        return Check(name="data", found=f"MNIST is in {folder}")
    mirror = environ.get("MNIST_MIRROR")
    return _warning(
        "data",
        f"MNIST is not in {folder}; it will be fetched from {mirror or 'the public mirrors'}",
        "keep the network connection for the first gate; without MNIST, the embedded digits are used",
    )


def _check_environment(root: Path, *, quick: bool) -> Check:
    """Check for torch in the dependencies that the latest gate resolved for the candidate."""
    resolution = _latest_resolution(root)
    if resolution is None:
        found = "no gate has resolved the dependencies here yet; the first one does, and needs a package index"
        return Check(name="environment", found=found)
    packages = resolution.packages
    found = f"packages: {len(packages)}, {'torch ' + packages['torch'] if 'torch' in packages else 'without torch'}"
    if quick:
        return Check(name="environment", found=f"{found}, as the latest gate resolved them")
    layer = layers.layers_folder() / resolution.digest[:32]
    if not layers.is_complete(layer):
        return Check(name="environment", found=f"{found}, which the next gate installs anew")
    if changes := layers.changes_of(layer):
        changed = f"{found}, cached, but changed since ({describe_changes(changes)})"
        advice = "find out what wrote there; the next gate installs them anew"
        return _warning("environment", changed, advice)
    return _check_torch(layer, found) if "torch" in packages else Check(name="environment", found=f"{found}, cached")


def _latest_resolution(root: Path) -> Resolution | None:
    """Return the candidate's dependencies from the latest gate with a readable journal."""
    for path in sorted((root / FOLDER / "runs").glob("*/journal.jsonl"), reverse=True):
        kept = journal.Journal(path)
        with suppress(StoreError):
            if line := kept.first("resolutions"):
                return kept.content(line, "resolutions", dict[Side, Resolution]).get(Side.CANDIDATE)
    return None


def _check_torch(layer: Path, found: str) -> Check:
    """Import torch as a worker would."""
    command = [str(environments.python_of(layer)), "-P", "-c", TORCH_QUESTION]
    variables = environments.worker_variables(threads=1, environ=os.environ)
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=TORCH_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        complaint = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        complaint = str(error)
    else:
        return Check(name="environment", found=f"{found}, cached; torch {done.stdout.strip()}")
    told = f"{found}, cached, but torch cannot be imported: {complaint}"
    return _stopper("environment", told, f"remove {layer}; the next gate installs it anew")


def _check_runs(root: Path) -> Iterator[Check]:
    """Check for interrupted gates, and for one that is running."""
    damages: list[StoreError] = []
    unfinished = journal.unfinished_runs(root, Start, on_damage=damages.append)
    for error in damages:
        yield _warning("runs", f"{error.fact} ({error.looked_in})", error.next_step or "")
    going_on = [run for run in unfinished if run.is_held]
    interrupted = [run for run in unfinished if run not in going_on]
    if going_on:
        yield _warning("runs", f"gate {going_on[0].id} is running, and would share the processors", "wait for it")
    if interrupted:
        yield _warning("runs", f"gate {interrupted[0].id} was interrupted", "mainstay gate --resume continues it")
