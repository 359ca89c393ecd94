"""Adoption of mainstay by a project: survey it, propose what is missing, write the files.

- :mod:`mainstay.adoption.survey`: what the project has.
- :mod:`mainstay.adoption.templates`: the texts that are written.
- :mod:`mainstay.adoption.proposal`: the smallest set of edits that works.
- :mod:`mainstay.adoption.scaffold`: the rendered maintenance scaffold as edits.
- :mod:`mainstay.adoption.writing`: all edits, or none.
"""
