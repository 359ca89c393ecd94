"""Judgement: pure functions from samples to findings, and from findings to one verdict.

- :mod:`~mainstay.gates.samples`: what is judged: the values of one metric in every pair.
- :mod:`~mainstay.gates.accuracy`: what is special to accuracy: implausible values, comparison example by example.
- :mod:`~mainstay.gates.exact`: verdicts without statistics: equal digests, deterministic values.
- :mod:`~mainstay.gates.family`: the sequential judgement of all metrics of a gate together.
- :mod:`~mainstay.gates.findings`: everything a reader is told about one metric.
- :mod:`~mainstay.gates.calibration`: settings that the noise of two equal revisions supports.
- :mod:`~mainstay.gates.margins`: what cannot be meant as a margin.
- :mod:`~mainstay.gates.policy`: what is planned beforehand, the verdict of a gate and its exit status.
"""
