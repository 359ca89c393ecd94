"""Statistics of paired trials: numbers and arrays in, numbers and arrays out.

These modules do not depend on metrics, verdicts, files or clocks. scipy is imported inside the functions that need it,
so that importing a module is fast.

- :mod:`~mainstay.stats.paired`: Student's t over pairs at one look.
- :mod:`~mainstay.stats.sequential`: several looks that share one error rate.
- :mod:`~mainstay.stats.multiplicity`: several metrics that share one error rate.
- :mod:`~mainstay.stats.proportions`: statistics of counts by Wilson, Clopper-Pearson and McNemar.
- :mod:`~mainstay.stats.flips`: two systems right or wrong on the same items.
- :mod:`~mainstay.stats.scores`: two systems scored on the same items, in clusters or not.
- :mod:`~mainstay.stats.power`: what a number of pairs can detect, and how many are still needed.
- :mod:`~mainstay.stats.noise`: noise between the blocks of a pair and between pairs.
- :mod:`~mainstay.stats.trend`: degradations that add up over many gates.
- :mod:`~mainstay.stats.change_points`: where the level of a long series changed.
- :mod:`~mainstay.stats.culprit`: which commit of many degraded a metric.
"""
