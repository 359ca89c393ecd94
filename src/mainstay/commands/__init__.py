"""Commands, one module each, and the steps that several of them share.

- :mod:`~mainstay.commands.gate`: judge a change against its baseline.
- :mod:`~mainstay.commands.calibrate`: gate a revision against itself, to measure the noise of the machine.
- :mod:`~mainstay.commands.trials`: measure one shard of a gate, for several machines to share it.
- :mod:`~mainstay.commands.judge`: judge stored results of two evaluations.
- :mod:`~mainstay.commands.judge_pieces`: judge what the shards of a gate measured.
- :mod:`~mainstay.commands.waive`: accept a degradation in the file that is reviewed.
- :mod:`~mainstay.commands.doctor`: report what the machine offers, and what would stop a gate.

The steps of a gate, in order; a calibration uses those that it needs:

- :mod:`~mainstay.commands.start`: the two revisions and their settings.
- :mod:`~mainstay.commands.session`: the inputs of every step.
- :mod:`~mainstay.commands.harness`: both revisions, built and ready to measure.
- :mod:`~mainstay.commands.collecting`: the agenda, that is, the workloads to be judged.
- :mod:`~mainstay.commands.proof`: whether anything has to be measured.
- :mod:`~mainstay.commands.basis`: all that a judgement needs besides trials, and the judgement.
- :mod:`~mainstay.commands.planning`: the plan, which is fixed before the first pair.
- :mod:`~mainstay.commands.reuse`: trials of the baseline that earlier gates cached.
- :mod:`~mainstay.commands.measurement`: ledgers, and the pairs that fill them.
- :mod:`~mainstay.commands.tampering`: detection of changes that no worker may make.
- :mod:`~mainstay.commands.outcome`: the end of a run.
- :mod:`~mainstay.commands.review`: waivers, and what the change alters in the rules and tests that judge it.

Several machines measure through these:

- :mod:`~mainstay.commands.pieces`: what each shard wrote, and whether it belongs together.
- :mod:`~mainstay.commands.cluster`, :mod:`~mainstay.commands.host`: a cluster of Dask, from the gate and from a host.
"""
