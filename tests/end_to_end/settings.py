"""Lines of ``[tool.mainstay]`` that make the gates of a test cheap, for tests of what these lines do not affect.

A gate of the small subject spends most of its processor time on starting workers. They are named by the marker
``settings``; tests of workers and of confinement go without, as the first tests of ``test_gate.py`` and of
``test_interruption.py`` do.
"""

FORKED = 'preload = ["decimal"]'
"""Workers are forked from servers, which have loaded pytest, too: a third of the time of fresh interpreters."""

SHORT_PAIRS = "pair_seconds = 0.1"
"""Timed workloads take a twenty-fifth of the time that they would take."""

ONE_LOOK = "looks = [3]"
"""Three pairs instead of five or more."""
