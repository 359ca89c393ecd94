"""Remedy for one finding: an action, its command, and how long the command takes.

- :class:`Step`: an action and its command.
- :class:`Gate`: commands and duration of another gate of the same workloads.
- :func:`next_step`: the step for a finding.
- :func:`trial_command`: the command that runs workloads alone, with the seed that :func:`uses_seed` asks for.
- :func:`waive_command`, :func:`waived_text`: the last resort, which accepts a degradation or a loss, and what it accepts.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mainstay.records.executions import TRAINED, part_of
from mainstay.records.findings import Blame, Finding, Verdict
from mainstay.records.formatting import degradation_text, first_few
from mainstay.records.metrics import STORED, Metric
from mainstay.records.runs import Revision, Run
from mainstay.reports.cleaning import NAME_LENGTH, clean

_CHOSEN_BY_ITSELF = ("merge base", "working tree", "first parent of the pull request")
_STANDARD_ERRORS = 3.0
_OF_ITEMS = {
    Verdict.ERROR: "score the same items on both sides, all of them, then judge again",
    Verdict.FAIL: "look at the lost items, repair the cause, then judge again",
    Verdict.MISSING: "restore it, then judge again",
    Verdict.NEW: "nothing: it is judged as soon as the baseline has it",
}


class Step(NamedTuple):
    """A step to take now.

    Attributes:
        about: Metrics that the step is about, or empty.
        action: The action in words; empty if there is nothing to do.
        command: The command, or empty.
        minutes: Duration of the command in words; empty if unknown.
    """

    about: str
    action: str
    command: str = ""
    minutes: str = ""

    @property
    def instruction(self) -> str:
        """Sentence of the step, with its command and how long that takes.

        Example:
            >>> Step("", "repair it, then gate again", "mainstay gate", "4 min").instruction
            'repair it, then gate again: mainstay gate (4 min)'
        """
        command = f"{self.command} ({self.minutes})" if self.command and self.minutes else self.command
        return ": ".join(filter(None, (self.action, command)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """Commands and duration of another gate of the same workloads.

    Attributes:
        command: Command that gates the repaired working tree.
        same: Command that gates the same candidate again.
        against_another: Command that gates the working tree against another baseline.
        again: What these commands do, in words.
        fetch: Start of a command that needs the candidate, which fetches it; empty unless CI made it.
        ends: Both ends of the change, as arguments for git. A pull request ends with its own last commit, and begins
            where its branch does.
        seconds: Duration of this gate; 0 if unknown.
        budget: Budget for measuring, in seconds.
        first_look: Pairs at the first look; 0 if all stored items are judged at once.
        last_look: Pairs at the last look.
        next_look: Pairs up to which all shards of the gate can measure next; 0 if there are none, or no shards.
        is_sharded: Whether the gate was measured in shards.
        cut_shards: Those of them whose time was used up.
        trial_s: Mean seconds of a trial, by workload, as far as known.
    """

    command: str = "mainstay gate"
    same: str = "mainstay gate"
    against_another: str = "mainstay gate --baseline REVISION"
    again: str = "gate again"
    fetch: str = ""
    ends: str = "BASELINE CANDIDATE"
    seconds: float = 0.0
    budget: float = 0.0
    first_look: int = 5
    last_look: int = 20
    next_look: int = 0
    is_sharded: bool = False
    cut_shards: tuple[str, ...] = ()
    trial_s: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> Gate:
        """Commands and duration of a gate like one that ended.

        Args:
            run: Run of that gate.
        """
        looks, shards = run.plan.looks or (0,), run.shards
        start, part = _start(run), tuple(shlex.quote(clean(argument)) for argument in _part(run))
        baseline = _named("--baseline", run.baseline)
        same = (*baseline, *_named("--candidate", run.candidate))
        fetch = ""
        if run.candidate.head:
            same = ("--baseline", _short(run.baseline.commit), "--candidate", _short(run.candidate.commit))
            fetch = f"git fetch origin {clean(run.candidate.commit)} && "
        return cls(
            command=_command(start, *baseline, *part),
            same=f"{fetch}{_command(start, *same, *part)}",
            against_another=_command(start, "--baseline", "REVISION", *part),
            again="gate again in shards" if shards else "gate again",
            fetch=fetch,
            ends=_ends(run),
            seconds=sum(run.phases_s.values()),
            budget=run.plan.seconds,
            first_look=looks[0],
            last_look=looks[-1],
            next_look=next((look for look in looks if look > shards.num_pairs), 0) if shards else 0,
            is_sharded=shards is not None,
            cut_shards=tuple(map(clean, shards.cut)) if shards else (),
            trial_s={each.id: each.seconds / (2 * each.num_pairs) for each in run.workloads if each.num_pairs},
        )


def minutes_text(seconds: float) -> str:
    """A duration in minutes; empty if unknown.

    Example:
        >>> minutes_text(233.4), minutes_text(20), minutes_text(0)
        ('about 4 min', 'about 1 min', '')
    """
    return f"about {max(1, round(seconds / 60)):,} min" if seconds > 0 and math.isfinite(seconds) else ""


def gate_minutes(seconds: float) -> str:
    """The duration of a gate in minutes; empty if unknown.

    Example:
        >>> gate_minutes(233.4)
        'the gate takes about 4 min'
    """
    minutes = minutes_text(seconds)
    return f"the gate takes {minutes}" if minutes else ""


def next_step(finding: Finding, gate: Gate | None = None) -> Step:
    """The step that decides or repairs a finding.

    Args:
        finding: The judgement.
        gate: Command and duration of another gate.
    """
    gate = gate or Gate()
    metric = clean(finding.metric.id, at_most=NAME_LENGTH)
    again = (gate.command, gate_minutes(gate.seconds))
    if not finding.blocks:
        return Step(metric, "")
    if finding.metric.workload == STORED:
        return _step_for_items(finding, metric)
    if finding.is_doubted:
        return _acknowledgement(metric, gate)
    match finding.verdict:
        case Verdict.INCONCLUSIVE if finding.needs_review and not _lacks_degradation(finding):
            return Step(
                metric, "review the changed workload, and accept it", waive_command(finding, gate), minutes_text(1)
            )
        case Verdict.INCONCLUSIVE:
            return _settling(finding, metric, gate)
        case Verdict.ERROR:
            return _repair(finding, metric, gate)
        case Verdict.FAIL:
            return Step(metric, f"repair what made it worse, then {gate.again}", *again)
        case Verdict.MISSING:
            file = shlex.quote(clean(finding.metric.workload.partition("::")[0]))
            command = f"git diff {gate.ends} -- {file}"
            return Step(metric, "find out what happened to it, and restore it", command, minutes_text(1))
        case Verdict.NEW:
            return Step(metric, _OF_ITEMS[Verdict.NEW])
        case _:
            return Step(metric, "")


def pairs_to_settle(finding: Finding) -> int | None:
    """Further pairs that should decide an inconclusive finding; ``None`` if no reasonable number would.

    Args:
        finding: The judgement.
    """
    return None if finding.needs_review else finding.further_pairs or None


def uses_seed(metric: Metric) -> bool:
    """Whether the workload of a metric uses the seed of its trial, as those of accuracies do.

    Args:
        metric: The metric.
    """
    return part_of(metric.kind) == TRAINED.part


def trial_command(workloads: Iterable[str], seed: int | None = None) -> str:
    """The command that runs workloads alone, in a checkout of the revision.

    Args:
        workloads: Their node ids.
        seed: Seed of their trials; ``None`` if they use none, or if it is unknown.

    Example:
        >>> trial_command(["test_a.py::test_a[1]"], seed=7)
        "python -m pytest 'test_a.py::test_a[1]' --trial-seed 7"
    """
    chosen = () if seed is None else ("--trial-seed", str(seed))
    return shlex.join(("python", "-m", "pytest", *workloads, *chosen))


def waive_command(finding: Finding, gate: Gate | None = None) -> str:
    """The command that accepts a degradation, with a limit that also holds for other seeds.

    The limit is the upper end of the interval, but at least the estimate plus three standard errors of the difference
    between two gates, which a gate that ends at its first look will hardly exceed.

    Args:
        finding: A finding that failed, is missing, or needs a review.
        gate: Command and duration of another gate.
    """
    gate = gate or Gate()
    metric = clean(finding.metric.id, at_most=NAME_LENGTH)
    limit = max(map(finding.metric.scale.to_margin, _waivable(finding, gate)))
    judged = " --judged" if finding.metric.workload == STORED else ""
    return f"mainstay waive {shlex.quote(metric)} --limit {_round_up(limit)} --reason WHY --until DATE{judged}"


def waived_text(finding: Finding, label: str, gate: Gate) -> str:
    """What :func:`waive_command` accepts: a degradation, with its unit, or that the metric is gone.

    Args:
        finding: A finding that failed or is missing.
        label: Name of its metric.
        gate: Command and duration of another gate.
    """
    if finding.verdict is Verdict.MISSING:
        return f"that {label} is gone"
    return f"{label} up to {clean(degradation_text(finding.metric, max(_waivable(finding, gate))))}"


def _start(run: Run) -> str:
    """The command that gates everything as a run did; only the user knows the address of a cluster."""
    if run.shards:
        return f"mainstay trials --shard I/{run.shards.count}"
    return "mainstay gate --cluster ADDRESS" if run.on_cluster else "mainstay gate"


def _part(run: Run) -> tuple[str, ...]:
    """The arguments that choose the workloads of a run; shards measure nothing but accuracy, so they take no part."""
    return run.plan.arguments[2:] if run.shards and "--only" in run.plan.arguments[:1] else run.plan.arguments


def _ends(run: Run) -> str:
    """Both ends of the change of a run, as arguments for git."""
    baseline = _short(run.baseline.commit)
    if head := _short(run.candidate.head):
        return f"$(git merge-base {baseline} {head}) {head}"
    return f"{baseline} {_short(run.candidate.commit)}"


def _short(commit: str) -> str:
    """The first digits of a commit."""
    return clean(commit)[:12]


def _command(*parts: str) -> str:
    """A command of its start and arguments."""
    return " ".join(parts)


def _named(option: str, revision: Revision) -> tuple[str, ...]:
    """The option that names a revision, if a gate would not choose it by default."""
    if revision.name.startswith(_CHOSEN_BY_ITSELF):
        return ()
    return option, _short(revision.commit)


def _settling(finding: Finding, metric: str, gate: Gate) -> Step:
    """Step that would decide an inconclusive finding; other seeds would make a new gate with a new error rate."""
    again = (gate.command, gate_minutes(gate.seconds))
    if gate.cut_shards and not finding.exploded_seeds:
        named = first_few(gate.cut_shards)
        return Step(metric, f"run the command of each shard whose time was used up again ({named}), then judge again")
    if gate.next_look and not finding.exploded_seeds and not finding.metric.is_of_items:  # shards score all items
        return Step(metric, _continuation(finding, gate))
    if not finding.num_pairs and not finding.further_pairs:
        longer = f"{gate.same} --seconds {_round_seconds(max(2 * gate.budget, gate.seconds))}"
        action = f"nothing was measured in this time: {gate.again} with more"
        return Step(metric, action, longer, gate_minutes(gate.seconds + gate.budget))
    if finding.metric.is_of_items:
        return _settling_unscored(finding, metric, gate) or Step(metric, _settling_items(finding))
    if seeds := finding.exploded_seeds:
        named = "seed" if len(seeds) == 1 else "seeds"
        workload = finding.metric.workload
        return Step(
            metric,
            f"train the candidate with {named} {first_few(list(map(str, seeds)))} alone and see why it explodes",
            trial_command([clean(workload, at_most=NAME_LENGTH)], seeds[0] if uses_seed(finding.metric) else None),
            minutes_text(gate.trial_s.get(workload, 0.0)),
        )
    if further := finding.further_pairs:
        total = finding.num_pairs + further
        seconds = gate.seconds * total / max(1, finding.num_pairs)
        limit = f" --seconds {_round_seconds(max(gate.budget, seconds))}"
        planned = "" if total <= gate.last_look else f" --pairs {total}"
        return Step(
            metric,
            f"about {_further(further)} should settle it: {gate.again} with {total} in all",
            f"{gate.same}{planned}{limit}",
            gate_minutes(seconds),
        )
    if finding.estimate is not None and abs(finding.degradation_in_margins - 1) <= 0.5:
        return Step(
            metric,
            "too near the margin for any reasonable number of pairs to decide: repair the candidate, or first widen the margin "
            f"(in the marker in {metric.partition('::')[0]}, or in pyproject.toml) in a change of its own, then {gate.again}",
            *again,
        )
    return Step(
        metric,
        "no planned number of pairs is expected to settle it: quieten the measurement, or widen the margin in a separate "
        "change first; see what this machine can detect",
        "mainstay calibrate",
        minutes_text(gate.seconds),
    )


def _further(number: int) -> str:
    """Further pairs in words."""
    return "1 further pair" if number == 1 else f"{number} further pairs"


def _continuation(finding: Finding, gate: Gate) -> str:
    """How to measure more pairs in all shards of a gate: up to the look that should settle a finding, or the next one."""
    further = finding.further_pairs or 0
    up_to, about = finding.num_pairs + further, f"about {_further(further)} should settle it: "
    if not further or not gate.next_look <= up_to <= gate.last_look:
        up_to, about = gate.next_look, ""
    return f"{about}run each shard again with '--up-to {up_to}', then judge again"


def _acknowledgement(metric: str, gate: Gate) -> Step:
    """Step that accepts a gain, once a person has examined it; pieces that were measured are only judged again."""
    command, minutes = gate.same, gate_minutes(gate.seconds)
    if gate.is_sharded:
        command, minutes = "mainstay judge --pieces DIR", minutes_text(1)
    action = f"look at the gain, then {'judge' if gate.is_sharded else 'gate'} again with"
    return Step(metric, action, f"{command} --acknowledge-gain {shlex.quote(metric)}", minutes)


def _lacks_degradation(finding: Finding) -> bool:
    """Whether a waiver is there, but does not apply before the degradation that it limits is measured."""
    return finding.waiver is not None and not finding.is_new and finding.measured_degradation is None


def _step_for_items(finding: Finding, metric: str) -> Step:
    """Step that decides or repairs a finding of stored results."""
    if finding.is_doubted:
        name = shlex.quote(clean(finding.metric.name, at_most=NAME_LENGTH))
        return Step(metric, f"look at the gain, then judge again and add --acknowledge-gain {name}")
    if finding.verdict is Verdict.INCONCLUSIVE:
        return Step(metric, _settling_items(finding))
    return Step(metric, _OF_ITEMS.get(finding.verdict, ""))


def _settling_unscored(finding: Finding, metric: str, gate: Gate) -> Step | None:
    """Step that would score the planned items that were not; ``None`` if these are too few to decide the finding."""
    further, scored = finding.further_pairs, max(1, finding.num_pairs)
    planned = round(scored / finding.items.share) if finding.items else scored
    if not further or further > planned - scored:
        return None
    seconds = gate.seconds * planned / scored
    return Step(
        metric,
        f"about {further:,} of the {planned - scored:,} items not scored yet should settle it: {gate.again} with more time",
        f"{gate.same} --seconds {_round_seconds(max(2 * gate.budget, seconds))}",
        gate_minutes(seconds),
    )


def _settling_items(finding: Finding) -> str:
    """Step that would decide an inconclusive finding of items; the benchmark fixes their number."""
    otherwise = "score every item more often, or widen the margin"
    if not finding.further_pairs:
        return f"no number of items is expected to settle it: {otherwise}"
    total = finding.num_pairs + finding.further_pairs
    return f"about {total:,} items should settle it; if the benchmark has no more than these, {otherwise}"


def _repair(finding: Finding, metric: str, gate: Gate) -> Step:
    """Repair to make, depending on what is to blame."""
    again = (gate.command, gate_minutes(gate.seconds))
    if finding.blame is Blame.CANDIDATE:
        return Step(metric, f"repair the candidate, then {gate.again}", *again)
    if finding.blame is Blame.BASELINE:
        action = "the baseline cannot be measured: repair it there, or choose another one"
        return Step(metric, action, gate.against_another, gate_minutes(gate.seconds))
    if finding.metric.is_of_items:
        action = f"let the workload score the same items on both sides, all of them, then {gate.again}"
        return Step(metric, action, *again)
    action = f"repair the machine, the environment or the workload, then {gate.again}; find out what is wrong"
    return Step(metric, action, "mainstay doctor", minutes_text(1))


def _waivable(finding: Finding, gate: Gate) -> list[float]:
    """Degradations that a waiver must cover."""
    degradations = [finding.metric.scaled_margin]
    if (degradation := finding.measured_degradation) is not None:
        degradations.append(degradation)
        if finding.interval is not None and math.isfinite(finding.interval.high):
            degradations.append(finding.interval.high)
        if finding.standard_deviation is not None and finding.num_pairs:
            other = finding.num_pairs if finding.metric.is_of_items else gate.first_look or finding.num_pairs
            shares = 1 / finding.num_pairs + 1 / other
            degradations.append(degradation + _STANDARD_ERRORS * finding.standard_deviation * math.sqrt(shares))
    return degradations


def _round_seconds(seconds: float) -> int:
    """Seconds rounded up to whole minutes."""
    return 60 * math.ceil(seconds / 60)


def _round_up(limit: float) -> str:
    """A limit rounded up to two digits."""
    if limit > 1e300:
        return f"{limit!r}"  # not rounded: the result would be infinite
    rounded = float(f"{limit:.1e}")
    return f"{rounded if rounded >= limit else float(f'{limit * 1.05:.1e}'):.6g}"
