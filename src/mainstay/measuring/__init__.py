"""Choice of what is measured next, until every metric is decided or the time budget runs out.

- :mod:`~mainstay.measuring.agenda`: which workloads are measured, and what needs no measuring.
- :mod:`~mainstay.measuring.strictness`: what a change cannot loosen.
- :mod:`~mainstay.measuring.changes`: what a change alters in the rules and tests that judge it.
- :mod:`~mainstay.measuring.scheduling`: seeds and orders, drawn beforehand; pairs handed to an executor.
- :mod:`~mainstay.measuring.sharding`: which pairs each of several machines measures.
- :mod:`~mainstay.measuring.ledger`: the trials of one workload, and the findings that follow from them.
- :mod:`~mainstay.measuring.loop`: the loop that measures up to the next look and judges.
- :mod:`~mainstay.measuring.baseline_cache`: trials of a baseline that later gates reuse.
"""
