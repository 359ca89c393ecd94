"""Runner inside the environment of a revision; it imports only the standard library and pytest.

The gate starts this folder as a program, with the interpreter of a revision's environment and in an empty folder. The
output of workloads goes to a separate file descriptor and is never parsed. Under plain ``pytest`` the same recorders
serve the fixtures of :mod:`mainstay.pytest_plugin`. All imports in this package are relative, since it has another name
in a worker.

- ``__main__``: the program, which removes its own folder from the module search path.
- :mod:`~mainstay.runner.worker`: a worker, or the server that forks workers.
- :mod:`~mainstay.runner.protocol`: messages between a worker and the gate; :mod:`~mainstay.runner.channel`: the pipes.
- :mod:`~mainstay.runner.plugin`: collects the workloads and runs one at a time.
- :mod:`~mainstay.runner.markers`, :mod:`~mainstay.runner.ready_metrics`: which tests are workloads, and what they gate.
- :mod:`~mainstay.runner.recording`, :mod:`~mainstay.runner.timing`, :mod:`~mainstay.runner.counting`: the objects that
  the fixtures give: trials, timed blocks (with :mod:`~mainstay.runner.block_statistics`), and counts.
- :mod:`~mainstay.runner.examples`, :mod:`~mainstay.runner.digests`: scores of the items of an evaluation, and digests of
  what was recorded.
- :mod:`~mainstay.runner.torch_counting`, :mod:`~mainstay.runner.places`: what a call makes torch do, and for which line.
- :mod:`~mainstay.runner.accelerators`: the accelerators that a workload uses.
- :mod:`~mainstay.runner.run_delay`: time that a block waited for a core because of other processes, as counted by the
  kernel.
- :mod:`~mainstay.runner.importing`, :mod:`~mainstay.runner.lazy`: imports in fresh interpreters; refusal of functions
  that do no work when they are called.
- :mod:`~mainstay.runner.preload`, :mod:`~mainstay.runner.processes`, :mod:`~mainstay.runner.network`: forked workers,
  processes left behind, and denial of network access.
- :mod:`~mainstay.runner.confinement`: gives up write access before any code of the revision runs.
"""
