"""The gate's side of the worker processes; the other side is :mod:`mainstay.runner`.

- :mod:`~mainstay.workers.process`: one process: started, spoken with, ended with all its children.
- :mod:`~mainstay.workers.collecting`: what a revision can run.
- :mod:`~mainstay.workers.session`: one worker at work, from its start to the trials that come of it.
- :mod:`~mainstay.workers.pairs`: pairs whose trials are whole runs.
- :mod:`~mainstay.workers.interleaved`: pairs of timed workloads, block by block in turns.
- :mod:`~mainstay.workers.fork_server`: processes forked from one that has imported modules already.
- :mod:`~mainstay.workers.events`: what a worker says, as far as it can be trusted.
- :mod:`~mainstay.workers.descendants`: processes that must end with the gate, and what they write.
- :mod:`~mainstay.workers.guard`: a program that runs a command which must not outlive the gate.
- :mod:`~mainstay.workers.machine`, :mod:`~mainstay.workers.load`: what the machine is, and how busy others keep it.
"""
