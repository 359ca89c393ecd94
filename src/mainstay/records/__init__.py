"""Frozen records of a gate: measurements, judgements and the run.

Records hold numbers and text, never behaviour that touches a file, a clock or a process.

- :mod:`~mainstay.records.metrics`: metrics and the workloads that record them.
- :mod:`~mainstay.records.scales`: how two values of a metric compare.
- :mod:`~mainstay.records.executions`: how the trials of a workload run.
- :mod:`~mainstay.records.plans`: what a gate decides before its first pair.
- :mod:`~mainstay.records.trials`: what one execution gave.
- :mod:`~mainstay.records.findings`: the judgement on one metric.
- :mod:`~mainstay.records.runs`: everything one gate produced.
- :mod:`~mainstay.records.calibrations`: what a revision gated against itself says about a machine.
- :mod:`~mainstay.records.formatting`: values and degradations as text.
- :mod:`~mainstay.records.errors`: what can go wrong, each with its exit status.
"""
