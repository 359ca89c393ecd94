"""Adoption of mainstay by a project: survey it, propose what is missing, write the files.

- :mod:`mainstay.adoption.survey`: survey of what the project has.
- :mod:`mainstay.adoption.templates`: texts of the files.
- :mod:`mainstay.adoption.proposal`: the smallest set of edits that is sufficient.
- :mod:`mainstay.adoption.scaffold`: the rendered maintenance scaffold as edits.
- :mod:`mainstay.adoption.writing`: writing of all edits, or none.
"""
