"""Judgement: pure functions from samples to findings, and from findings to one verdict.

- :mod:`~mainstay.gates.samples`: the values of one metric in every pair, which are judged.
- :mod:`~mainstay.gates.accuracy`: checks of accuracy only: implausible values, comparison example by example.
- :mod:`~mainstay.gates.exact`: verdicts without statistics: equal digests, deterministic values.
- :mod:`~mainstay.gates.family`: the sequential judgement of all metrics of a gate together.
- :mod:`~mainstay.gates.findings`: everything that a report says about one metric.
- :mod:`~mainstay.gates.calibration`: settings that the noise of two equal revisions supports.
- :mod:`~mainstay.gates.margins`: refusal of implausible margins.
- :mod:`~mainstay.gates.policy`: the design of a gate, its verdict and its exit status.
"""
