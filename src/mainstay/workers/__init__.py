"""The gate's side of the worker processes; the other side is :mod:`mainstay.runner`.

- :mod:`~mainstay.workers.process`: one process: starting it, exchanging messages, ending it with all its children.
- :mod:`~mainstay.workers.collecting`: the workloads that a revision can run.
- :mod:`~mainstay.workers.session`: a session with one worker, from its start to its trials.
- :mod:`~mainstay.workers.pairs`: pairs whose trials are whole runs.
- :mod:`~mainstay.workers.interleaved`: pairs of timed workloads, whose revisions share a core or take turns.
- :mod:`~mainstay.workers.cores`: one core for both.
- :mod:`~mainstay.workers.fork_server`: processes forked from a server that has already imported modules.
- :mod:`~mainstay.workers.events`: validation of the events of a worker.
- :mod:`~mainstay.workers.descendants`: processes that must end with the gate, and their output.
- :mod:`~mainstay.workers.guard`: a program that runs a command which must not outlive the gate.
- :mod:`~mainstay.workers.machine`, :mod:`~mainstay.workers.load`: a description of the machine, and its load by other
  processes.
"""
