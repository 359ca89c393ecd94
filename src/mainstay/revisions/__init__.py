"""Revisions: checking out, building and comparing the two revisions, each in its own environment.

- :mod:`~mainstay.revisions.git`: choice of the revisions, and their worktrees.
- :mod:`~mainstay.revisions.environments`: dependencies and the wheel of each revision.
- :mod:`~mainstay.revisions.layers`: cached dependency layers.
- :mod:`~mainstay.revisions.workspace`: folders, workloads, prepared data and variables of both revisions.
"""
