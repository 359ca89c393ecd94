"""A conftest for measuring folders: timed workloads warm up for a moment, in tests of what that does not affect."""

BRIEF_WARM_UP = """
from _mainstay_runner import timing

timing.Benchmark.measure.__kwdefaults__["warm_up_s"] = 0.002
"""
"""A warm-up of 0.1 s on either side would be most of the processor time of a short pair."""
