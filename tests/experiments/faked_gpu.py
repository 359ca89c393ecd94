"""A GPU that no machine has, as its driver would report it."""

from experiments.gpu.gauges import Reading


class FakedGauge:
    """Says what it was given, the last of it for ever.

    Args:
        reasons: Why the clock is lowered at each reading; never, if nothing is given.
    """

    def __init__(self, *reasons):
        self.reasons = list(reasons) or [()]

    def name(self):
        return "a GPU that no machine has"

    def read(self):
        reasons = self.reasons.pop(0) if len(self.reasons) > 1 else self.reasons[0]
        return Reading(
            clock_mhz=900 if reasons else 1980, memory_clock_mhz=3201, power_w=300.0, temperature_c=50, reasons=reasons
        )
