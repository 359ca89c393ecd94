"""Revisions: checking out, building and comparing the two revisions, each in its own environment.

- :mod:`~mainstay.revisions.git`: choice of the revisions, and their worktrees.
- :mod:`~mainstay.revisions.uv_commands`: commands of uv, and whom a failure is blamed on.
- :mod:`~mainstay.revisions.resolution`: the dependencies of each revision.
- :mod:`~mainstay.revisions.requests`: requests to the resolver for one revision.
- :mod:`~mainstay.revisions.pins`: the result of the resolver.
- :mod:`~mainstay.revisions.indexes`: package indexes that a project names.
- :mod:`~mainstay.revisions.uv_settings`: settings of uv in a revision's tree and in the environment.
- :mod:`~mainstay.revisions.project_files`: what can be built from a revision's tree, and what it requires.
- :mod:`~mainstay.revisions.environments`: the wheel of each revision, installed beside its dependencies.
- :mod:`~mainstay.revisions.layers`: cached dependency layers.
- :mod:`~mainstay.revisions.workspace`: folders, workloads, prepared data and variables of both revisions.
"""
