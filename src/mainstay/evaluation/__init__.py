"""Evaluation: models scored item by item, without training, by this project's workloads or by other tools.

- :mod:`~mainstay.evaluation.items`: scored items of one side, and the items of both sides side by side.
- :mod:`~mainstay.evaluation.formats`: files of other tools and the plain form, read as scored items.
"""
