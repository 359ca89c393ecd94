"""Choice of what is measured next, until every metric is decided or the time budget runs out.

- :mod:`~mainstay.measuring.agenda`: which workloads are measured, and what needs no measuring.
- :mod:`~mainstay.measuring.strictness`: what a change cannot loosen.
- :mod:`~mainstay.measuring.changes`: what a change alters of the means by which it is judged.
- :mod:`~mainstay.measuring.scheduling`: seeds and orders, drawn beforehand; pairs handed to an executor.
- :mod:`~mainstay.measuring.ledger`: the trials of one workload, and what follows from them.
- :mod:`~mainstay.measuring.loop`: pairs until the next look, judgement, and so on.
- :mod:`~mainstay.measuring.baseline_cache`: trials of a baseline that later gates reuse.
"""
