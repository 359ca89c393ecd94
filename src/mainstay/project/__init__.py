"""Settings and waivers of a project.

- :mod:`~mainstay.project.configuration`: the settings in ``[tool.mainstay]``.
- :mod:`~mainstay.project.waivers`: accepted degradations.
"""
