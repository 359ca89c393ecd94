"""What a user can ask for, a module a command.

- :mod:`~mainstay.commands.gate`: judge a change against its baseline.
- :mod:`~mainstay.commands.calibrate`: gate a revision against itself, to learn how noisy the machine is.
- :mod:`~mainstay.commands.waive`: accept a degradation in the file that is reviewed.
- :mod:`~mainstay.commands.doctor`: what the machine offers, and what would stop a gate.
- :mod:`~mainstay.commands.session`: what the first two share.
"""
