"""What runs inside the environment of a revision: the standard library and pytest only.

- :mod:`~mainstay.runner.worker_main`: collects the workloads, runs one at a time and records.
- :mod:`~mainstay.runner.confinement`: gives up the right to write before anything of the revision runs.
"""
