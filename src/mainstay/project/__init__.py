"""What a project says: its settings and its waivers.

- :mod:`~mainstay.project.configuration`: ``[tool.mainstay]``.
- :mod:`~mainstay.project.waivers`: degradations that were accepted.
"""
