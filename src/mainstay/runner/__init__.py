"""Runner inside the environment of a revision; it imports only the standard library and pytest.

The gate starts this folder as a program, with the interpreter of a revision's environment and in an empty folder; what a
workload prints goes elsewhere and is never parsed. Under plain ``pytest`` the same recorders serve the fixtures of
:mod:`mainstay.pytest_plugin`. All imports in here are relative, since the package has another name in a worker.

- ``__main__``: starts, and leaves no trace of the folder where the subject's modules are looked for.
- :mod:`~mainstay.runner.worker`: a worker, or the server that forks workers.
- :mod:`~mainstay.runner.protocol`: what a worker and the gate say to each other; :mod:`~mainstay.runner.channel`: the pipes.
- :mod:`~mainstay.runner.plugin`: collects the workloads and runs one at a time.
- :mod:`~mainstay.runner.markers`, :mod:`~mainstay.runner.ready_metrics`: which tests are workloads, and what they gate.
- :mod:`~mainstay.runner.recording`, :mod:`~mainstay.runner.timing`, :mod:`~mainstay.runner.counting`: what the fixtures
  give: trials, timed blocks (:mod:`~mainstay.runner.block_statistics` are their numbers), counts.
- :mod:`~mainstay.runner.run_delay`: what others took of the core while a block ran, by the kernel's account.
- :mod:`~mainstay.runner.importing`, :mod:`~mainstay.runner.lazy`: imports in fresh interpreters; functions that do no
  work when they are called.
- :mod:`~mainstay.runner.preload`, :mod:`~mainstay.runner.processes`, :mod:`~mainstay.runner.network`: forked workers,
  processes left behind, and the network that trials have none of.
- :mod:`~mainstay.runner.confinement`: gives up the right to write before anything of the revision runs.
"""
