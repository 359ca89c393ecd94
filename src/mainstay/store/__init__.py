"""Files that a gate keeps on disk.

- :mod:`~mainstay.store.journal`: the journal of all trials, and the folders of runs.
- :mod:`~mainstay.store.documents`: the run document, checked against its schema.
- :mod:`~mainstay.store.files`: atomic writing of files.
- :mod:`~mainstay.store.integrity`: manifests, which show whether a folder has changed.
- :mod:`~mainstay.store.scratch`: temporary folders, and those that killed processes left behind.
- :mod:`~mainstay.store.interruption`: Ctrl-C, raised once and never during a clean-up.
"""
