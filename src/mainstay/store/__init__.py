"""Files that a gate keeps on disk.

- :mod:`~mainstay.store.journal`: every trial as soon as it is measured, and the folders of runs.
- :mod:`~mainstay.store.documents`: the run document, checked against its schema.
- :mod:`~mainstay.store.files`: files that appear whole or not at all.
- :mod:`~mainstay.store.integrity`: whether a folder still holds what it held.
- :mod:`~mainstay.store.scratch`: temporary folders, and those that killed processes left.
- :mod:`~mainstay.store.interruption`: Ctrl-C, raised once and never inside a clean-up.
"""
