"""Settings and waivers of a project.

- :mod:`~mainstay.project.configuration`: ``[tool.mainstay]``.
- :mod:`~mainstay.project.waivers`: degradations that were accepted.
"""
