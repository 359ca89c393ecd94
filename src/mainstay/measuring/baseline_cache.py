"""Cache of a baseline's accuracy trials for later gates on the same baseline; times are never cached.

A deterministic training run need not be repeated. So the trials of a baseline are cached in ``.mainstay/baselines``
once a gate has shown that the baseline is deterministic: one seed, run twice, gave the same digest of
weights and metrics. A later gate measures only its candidate on these seeds. Time, memory, import time and counts are
measured again in every gate, since the state of a machine changes.

A cached trial is used only under the same :class:`Conditions` under which it was measured. If a baseline was found to
be nondeterministic, this is stored, so that no gate spends another trial to find it out.

- :class:`Conditions`: everything that could change a trial; its key names the file.
- :func:`is_exact`: whether a dependency is pinned so that it cannot change.
- :class:`BaselineTrials`: the file of one key, written whole or not at all.
- :func:`reusable_trials`, :func:`is_deterministic`, :func:`is_nondeterministic`, :func:`merge_trials`: which trials can
  be reused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path

from filelock import FileLock

from mainstay.records.errors import StoreError
from mainstay.records.metrics import Workload
from mainstay.records.trials import Outcome, Side, Trial
from mainstay.store.files import FOLDER, write_text
from mainstay.store.journal import UNSTRUCTURED, parse_trial, trial_content

BASELINES = "baselines"
"""Folder of the cached trials, next to that of the runs."""

FORMAT = 2
"""Version of the file format, part of the key, so that files of another format are not found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Everything that could change a trial of the baseline, except the workload and the seed.

    What is not listed here must not matter: paths of the scratch folder, the private home of a worker, the number of
    trials that run at once, and the commit (its tree is listed).

    Attributes:
        tree: Git's hash of the baseline's tree.
        wheel_digest: SHA-256 of the wheel that was built from it.
        packages_digest: SHA-256 of its resolved dependencies, Python, platform and uv.
        roots: Packages that must come from the revision's own wheel.
        workloads_digest: SHA-256 of the measuring folder: the workloads and the pytest configuration.
        shared: SHA-256 of each shared input.
        inputs: SHA-256 of the file or folder that each variable of ``prepare`` names, if it names one.
        variables: Environment variables of the workers, without the path of the scratch folder.
        threads: Threads of each worker.
        preload: Modules that are already imported when a worker starts.
        worker_digest: SHA-256 of the worker's source.
        mainstay_version: Version of the tool.
        traits: Known traits of processor, operating system, accelerators and their drivers.
    """

    tree: str
    wheel_digest: str
    packages_digest: str
    roots: tuple[str, ...]
    workloads_digest: str
    shared: Mapping[str, str]
    inputs: Mapping[str, str]
    variables: Mapping[str, str]
    threads: int
    preload: tuple[str, ...]
    worker_digest: str
    mainstay_version: str
    traits: tuple[str, ...]

    @property
    def key(self) -> str:
        """SHA-256 of all conditions."""
        content = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def is_exact(version: str) -> bool:
    """Whether the version of a package, or its address, always names the same content.

    Example:
        >>> [is_exact(v) for v in ("2.4.6", "git+https://example.org/a@c0ffee", "file:///wheels/a-1-py3-none-any.whl")]
        [True, True, False]
    """
    return "://" not in version or version.startswith("git+") or "#sha256=" in version


class BaselineTrials:
    """The cached trials of a baseline under one set of conditions.

    Args:
        root: The user's repository.
        key: Key of the conditions.

    Example:
        >>> import tempfile
        >>> BaselineTrials(Path(tempfile.mkdtemp()), "c0ffee").read()
        ()
    """

    def __init__(self, root: Path, key: str) -> None:
        self._folder = root / FOLDER / BASELINES
        self._file = self._folder / f"{key}.jsonl"
        self._shown = f"{FOLDER}/{BASELINES}/{self._file.name}"

    def read(self) -> tuple[Trial, ...]:
        """The cached trials.

        Raises:
            StoreError: If the file cannot be read, or was altered.
        """
        try:
            digest, _, content = self._file.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from error
        if digest.decode(errors="replace") != _digest_line(content):
            raise self._error("are damaged")
        try:
            return tuple(parse_trial(json.loads(line)) for line in content.splitlines())
        except (RecursionError, *UNSTRUCTURED) as error:
            raise self._error("cannot be read") from error

    def keep(self, trials: Sequence[Trial], *, run: str) -> None:
        """Add the trials of a gate to the cache; two gates may do so at once.

        Args:
            trials: Trials of accuracy workloads. Only trials of the baseline are added, if they were measured in this
                run, completed and recorded a digest.
            run: Id of the run that measured them.

        Raises:
            StoreError: If the file cannot be written; the old one stays.
        """
        new = [
            replace(trial, reused_from=run, duration_s=0.0, load=None)
            for trial in trials
            if trial.side is Side.BASELINE
            and trial.outcome is Outcome.COMPLETED
            and trial.digest
            and not trial.reused_from
        ]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / "lock"):
                old: tuple[Trial, ...] = ()
                with suppress(StoreError):  # what cannot be read is written anew
                    old = self.read()
                merged = [
                    trial
                    for workload in sorted({trial.workload for trial in (*old, *new)})
                    for trial in merge_trials(_of(workload, old), _of(workload, new))
                ]
                if merged != list(old):
                    content = "".join(f"{json.dumps(trial_content(trial))}\n" for trial in merged)
                    write_text(self._file, f"{_digest_line(content.encode())}\n{content}", shown=self._shown)
        except OSError as error:
            raise self._error(f"cannot be written: {error.strerror}") from error

    def _error(self, what: str) -> StoreError:
        return StoreError(
            f"the cached trials of the baseline {what}",
            looked_in=self._shown,
            next_step=f"make {FOLDER}/{BASELINES} readable and writable, or remove it: it only saves time",
        )


def _digest_line(content: bytes) -> str:
    """First line of a file, used to check that the rest is complete."""
    return json.dumps(hashlib.sha256(content).hexdigest())


def _of(workload: str, trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.workload == workload]


def _digests_by_seed(trials: Sequence[Trial]) -> dict[int, list[str]]:
    """Digests of the trial and its repetitions at each seed."""
    ordered = sorted(trials, key=lambda trial: trial.seed)
    return {seed: [trial.digest for trial in group] for seed, group in groupby(ordered, lambda trial: trial.seed)}


def is_deterministic(trials: Sequence[Trial]) -> bool:
    """Whether trials of one workload prove that the baseline is deterministic: a seed was repeated, and seeds differ.

    Example:
        >>> trial = Trial(workload="w", side=Side.BASELINE, seed=1, pair=0, outcome=Outcome.COMPLETED, digest="a")
        >>> again = replace(trial, repetition=1)
        >>> other = replace(again, digest="b")
        >>> is_deterministic([trial]), is_deterministic([trial, again]), is_deterministic([trial, other])
        (False, True, False)
    """
    digests = _digests_by_seed(trials)
    is_repeated = any(len(group) > 1 for group in digests.values())
    return (
        is_repeated
        and not is_nondeterministic(trials)
        and len({group[0] for group in digests.values()}) == len(digests)
    )


def is_nondeterministic(trials: Sequence[Trial]) -> bool:
    """Whether trials of one workload prove that the baseline is not deterministic: a seed gave two digests."""
    return any(len(set(group)) > 1 for group in _digests_by_seed(trials).values())


def reusable_trials(cached: Sequence[Trial], workload: Workload, seeds: Sequence[int]) -> list[Trial]:
    """The cached trials that replace trials of this gate, renumbered for its pairs.

    Args:
        cached: All trials that are cached under the conditions of this gate.
        workload: Workload to be measured.
        seeds: Seed of each pair.
    """
    trials = _of(workload.id, cached)
    if not is_deterministic(trials):
        return []
    gated = {metric.name for metric in workload.metrics}
    pairs = {seed: pair for pair, seed in enumerate(seeds)}
    return [
        replace(trial, pair=pairs[trial.seed])
        for trial in trials
        if trial.seed in pairs and gated <= trial.values.keys()
    ]


def merge_trials(old: Sequence[Trial], new: Sequence[Trial]) -> list[Trial]:
    """Merge cached and measured trials of a workload.

    If the two disagree, the circumstances have changed in a way that only the workload records, such as another data
    file: then only the new trials are kept. For a nondeterministic baseline, only the trials that prove this are kept.

    Args:
        old: The cached trials.
        new: The trials that a gate measured.
    """
    if is_nondeterministic(old):
        return list(old)
    known = {(trial.seed, trial.repetition): trial for trial in old}
    measured = {(trial.seed, trial.repetition): trial for trial in new}
    if any(_disagree(known[key], measured[key]) for key in known.keys() & measured.keys()):
        known = {}
    merged = [trial for _, trial in sorted({**measured, **known}.items())]
    if is_nondeterministic(merged):
        repeated = {trial.seed for trial in merged if trial.repetition}
        return [trial for trial in merged if trial.seed in repeated]
    return merged if is_deterministic(merged) else list(old)


def _disagree(first: Trial, second: Trial) -> bool:
    return (first.digest, first.context) != (second.digest, second.context)
