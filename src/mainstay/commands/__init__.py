"""Commands, one module each, and the steps that several of them share.

- :mod:`~mainstay.commands.gate`: judge a change against its baseline.
- :mod:`~mainstay.commands.calibrate`: gate a revision against itself, to learn how noisy the machine is.
- :mod:`~mainstay.commands.judge`: judge stored results of two evaluations.
- :mod:`~mainstay.commands.waive`: accept a degradation in the file that is reviewed.
- :mod:`~mainstay.commands.doctor`: what the machine offers, and what would stop a gate.

The steps of a gate, in their order; a calibration takes those that it needs:

- :mod:`~mainstay.commands.start`: the two revisions and their settings.
- :mod:`~mainstay.commands.session`: what every step is given.
- :mod:`~mainstay.commands.harness`: both revisions, built and ready to measure.
- :mod:`~mainstay.commands.collecting`: the agenda, what is to be judged.
- :mod:`~mainstay.commands.proof`: whether anything need be measured.
- :mod:`~mainstay.commands.planning`: the plan, all that is decided before the first pair.
- :mod:`~mainstay.commands.reuse`: trials of the baseline that earlier gates cached.
- :mod:`~mainstay.commands.measurement`: ledgers, and the pairs that fill them.
- :mod:`~mainstay.commands.tampering`: what no worker may change.
- :mod:`~mainstay.commands.review`: waivers, and what the change alters of the means by which it is judged.
"""
