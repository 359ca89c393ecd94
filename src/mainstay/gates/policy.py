"""Design of a gate, fixed before the first pair, and its verdict and exit status after the last.

:data:`GATE_RULES` is the single table that maps facts to a verdict and an exit status. It is in order of precedence:
the first rule that applies decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, NamedTuple, Self

from mainstay.records.errors import ConfigurationError
from mainstay.records.findings import Blame, Finding, Verdict, meaning_of_pass
from mainstay.records.formatting import first_few
from mainstay.records.plans import Plan
from mainstay.stats.sequential import look_weights

InconclusiveStatus = Literal[0, 1, 3]
"""Exit statuses to which a policy may map an inconclusive gate."""

InconclusivePolicy = Literal[0, 1, 3, "warn"]
"""Exit status of an inconclusive gate; ``"warn"`` means 0 if all undecided metrics are tolerated, and otherwise 3."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """Group-sequential design of a gate; changing it after the first pair would void the error rates.

    Attributes:
        alpha: Level of the strict tests: the highest probability that a clean gate fails, or that a degradation of
            twice the margin passes.
        margin_level: Level of the tests at the margin.
        looks: Numbers of pairs at which the gate looks.
        num_gated: Number of metrics that share ``alpha``, called K in the formulas.

    Raises:
        ConfigurationError: If levels or looks cannot be used.

    Example:
        >>> Design(num_gated=6).weights
        (0.25, 0.15, 0.2, 0.4)
    """

    alpha: float = 0.01
    margin_level: float = 0.05
    looks: tuple[int, ...] = (5, 8, 12, 20)
    num_gated: int

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= self.margin_level < 0.5:
            raise ConfigurationError(
                f"alpha = {self.alpha} and margin_level = {self.margin_level} are not levels of a gate",
                next_step="choose 0 < alpha <= margin_level < 0.5, such as 0.01 and 0.05",
            )
        if self.num_gated < 0:
            raise ConfigurationError(f"a gate cannot have {self.num_gated} metrics")
        try:
            look_weights(self.looks)
        except ValueError as error:
            raise ConfigurationError(str(error), next_step="choose looks such as [5, 8, 12, 20]") from error

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Take the design from a plan.

        Args:
            plan: A plan with at least one look.
        """
        return cls(alpha=plan.alpha, margin_level=plan.margin_level, looks=plan.looks, num_gated=plan.num_gated)

    @property
    def weights(self) -> tuple[float, ...]:
        """Share of the error rate that each look uses."""
        return tuple(look_weights(self.looks).tolist())

    @property
    def max_pairs(self) -> int:
        """Number of pairs at the last look."""
        return self.looks[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFacts:
    """Facts that decide the verdict of a gate and its exit status.

    Attributes:
        findings: One for each gated metric.
        allow_unjudged: Whether a gate that judged nothing may pass.
        is_first: Whether the baseline has no workloads at all; new metrics then count as judged.
        inconclusive: The project's policy for an inconclusive gate.
    """

    findings: tuple[Finding, ...] = ()
    allow_unjudged: bool = False
    is_first: bool = False
    inconclusive: InconclusivePolicy = 3


class GateRule(NamedTuple):
    """One row of :data:`GATE_RULES`.

    Attributes:
        status: Exit status of the command; the policy may change a 3, unless a metric needs a review.
        verdict: Verdict of the whole gate.
        when: The condition in words.
        concerns: Whether a finding meets the condition, so that the rule applies.
        holds: The condition, if it is not one of a single finding.
    """

    status: int
    verdict: Verdict
    when: str
    concerns: Callable[[Finding], bool] = lambda finding: False
    holds: Callable[[GateFacts], bool] = lambda facts: False

    def applies(self, facts: GateFacts) -> bool:
        """Whether the rule applies."""
        return any(map(self.concerns, facts.findings)) or self.holds(facts)


class GateJudgement(NamedTuple):
    """Outcome of a gate.

    Attributes:
        verdict: Verdict of the whole gate.
        reason: Why the gate has this verdict, in one sentence.
        exit_status: Exit status of the command.
    """

    verdict: Verdict
    reason: str
    exit_status: int


def _having(verdict: Verdict) -> Callable[[Finding], bool]:
    """Make the condition that a finding blocks and has this verdict."""
    return lambda finding: finding.verdict is verdict and finding.blocks


def _is_candidate_error(finding: Finding) -> bool:
    """Whether this is a blocking error for which the candidate alone is to blame."""
    return finding.verdict is Verdict.ERROR and finding.blame is Blame.CANDIDATE and finding.blocks


def status_of_inconclusive(findings: Sequence[Finding], policy: InconclusivePolicy) -> InconclusiveStatus:
    """Exit status of an inconclusive gate: that of the policy, but never 0 if a finding needs a review or is doubted.

    Args:
        findings: All findings of the gate, or one.
        policy: Exit status that the project's policy gives an inconclusive gate.

    Example:
        >>> status_of_inconclusive([], 0), status_of_inconclusive([], "warn")
        (0, 3)
    """
    if policy == "warn":
        return 3
    return policy or (3 if any(finding.needs_review or finding.is_doubted for finding in findings) else 0)


def _nothing_judged(facts: GateFacts) -> bool:
    """Whether no finding that blocks, or only warns as undecided, judges the candidate, although this is not allowed."""
    judged = {Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.WAIVED}
    judged |= {Verdict.NEW} if facts.is_first else set()
    return not facts.allow_unjudged and not any(
        finding.verdict in judged
        and (finding.blocks or finding.is_tolerated or (finding.only_warns and finding.num_looks > 0))
        for finding in facts.findings
    )


_unreviewed, _doubted, _tolerated = map(attrgetter, ("needs_review", "is_doubted", "is_tolerated"))


GATE_RULES: tuple[GateRule, ...] = (
    GateRule(1, Verdict.FAIL, "a metric degraded by more than its margin", _having(Verdict.FAIL)),
    GateRule(1, Verdict.MISSING, "a metric of the baseline is missing", _having(Verdict.MISSING)),
    GateRule(1, Verdict.ERROR, "the candidate alone could not be measured", _is_candidate_error),
    GateRule(4, Verdict.ERROR, "a metric could not be measured", _having(Verdict.ERROR)),
    GateRule(4, Verdict.ERROR, "nothing was judged", holds=_nothing_judged),
    GateRule(3, Verdict.INCONCLUSIVE, "what judges a metric was changed and needs a review", _unreviewed),
    GateRule(3, Verdict.INCONCLUSIVE, "a metric is undecided", _having(Verdict.INCONCLUSIVE)),
    GateRule(3, Verdict.INCONCLUSIVE, "a gain is implausible and nobody has acknowledged it", _doubted),
    GateRule(0, Verdict.INCONCLUSIVE, "all undecided metrics lie within their margins at calibrated noise", _tolerated),
    GateRule(0, Verdict.PASS, "no metric degraded by more than its margin", holds=lambda facts: True),
)
"""Rules for the verdict and the exit status, in order of precedence; the last rule always applies.

An error that prevents findings altogether is raised as an exception instead, see :mod:`mainstay.records.errors`.
"""


def judge_gate(facts: GateFacts) -> GateJudgement:
    """Judge a gate by :data:`GATE_RULES`.

    Example:
        >>> judge_gate(GateFacts())
        GateJudgement(verdict=<Verdict.ERROR: 'error'>, reason='nothing was judged', exit_status=4)
        >>> judge_gate(GateFacts(allow_unjudged=True)).exit_status
        0
    """
    rule = next(rule for rule in GATE_RULES if rule.applies(facts))
    status: int = rule.status
    if rule.status == 3:
        status = status_of_inconclusive(facts.findings, facts.inconclusive)
    return GateJudgement(rule.verdict, _reason(rule, facts), status)


def _reason(rule: GateRule, facts: GateFacts) -> str:
    """The condition in words, with the metrics that meet it."""
    if rule.verdict is Verdict.PASS:
        return _reason_of_pass(facts)
    culprits = list(filter(rule.concerns, facts.findings))
    counted = f", {len(culprits)} of {len(facts.findings)} metrics" if rule.status == 0 else ""
    return f"{rule.when}{counted}: {_names(culprits)}" if culprits else rule.when


def _reason_of_pass(facts: GateFacts) -> str:
    """What a pass means, with the counts of metrics."""
    told = meaning_of_pass(facts.findings, nothing="no metric")
    return f"{told}: {_passed(facts)}" if facts.findings else told


def _passed(facts: GateFacts) -> str:
    """Number of passed metrics, with the names of those that degraded and the number of undecided ones."""
    by_verdict = {verdict: [finding for finding in facts.findings if finding.verdict is verdict] for verdict in Verdict}
    count = len(facts.findings)
    if len(by_verdict[Verdict.NEW]) == count:
        told = f"all {count} are new" if count > 1 else "the only metric is new"
        return f"the baseline gates nothing, {told} and judged from the next change on" if facts.is_first else told
    told = f"{len(by_verdict[Verdict.PASS])} of {count} passed"
    if waived := by_verdict[Verdict.WAIVED]:
        told += f", waived: {_names(waived)}"
    if advisory := by_verdict[Verdict.FAIL]:  # one that blocks precludes a pass
        told += f", failed without blocking: {_names(advisory)}"
    if undecided := len(by_verdict[Verdict.INCONCLUSIVE]):
        told += f", {undecided} that {'does not block is' if undecided == 1 else 'do not block are'} undecided"
    return told


def _names(findings: Sequence[Finding]) -> str:
    """Ids of the metrics that used up most of their margin, and the number of others."""
    worst = sorted(findings, key=lambda finding: -finding.degradation_in_margins)
    return first_few([finding.metric.id for finding in worst])
