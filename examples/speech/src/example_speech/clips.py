"""Clips of one and a half seconds: half of them with speech in noise, half of them with noise alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 16_000
NUM_SAMPLES = 24_000
VOICES = ("en-us", "en-gb", "de", "es", "fr", "it", "nl", "pl", "pt", "sv")
WORDS = (
    "river", "window", "seven", "paper", "morning", "garden", "yellow", "winter", "doctor", "music", "bottle",
    "travel", "silver", "market",
)  # fmt: skip
NOISES = ("white", "pink", "hum", "clicks", "chord")
SIGNAL_TO_NOISE_DB = (-12.0, 6.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """A clip and what is in it.

    Attributes:
        id: Stays the same.
        has_speech: What the detector should tell.
        description: In words: voice or none, noise, and how loud the noise is.
        samples: (24000,), float32.
    """

    id: str
    has_speech: bool
    description: str
    samples: np.ndarray


def make_noise(name: str, rng: np.random.Generator) -> np.ndarray:
    """Noise of one kind, with a mean square of 1."""
    white, times = rng.normal(size=NUM_SAMPLES), np.arange(NUM_SAMPLES) / SAMPLE_RATE
    if name == "pink":
        spectrum = np.fft.rfft(white) / np.sqrt(np.arange(NUM_SAMPLES // 2 + 1) + 1)
        white = np.fft.irfft(spectrum, NUM_SAMPLES)
    elif name == "hum":
        white = 0.1 * white + sum(np.sin(2 * np.pi * 50 * k * times + rng.uniform(0, 6)) / k for k in range(1, 20))
    elif name == "clicks":
        white *= np.exp(-80 * ((times + rng.uniform(0, 1)) % rng.uniform(0.1, 0.4)))
    elif name == "chord":
        base = rng.uniform(90, 250)
        white = sum(np.sin(2 * np.pi * base * ratio * k * times) / k for ratio in (1, 1.25, 1.5) for k in range(1, 8))
    return white / np.sqrt((white**2).mean())


def make_clips(say: Callable[..., np.ndarray], number: int, *, seed: int) -> Iterator[Clip]:
    """Make that many clips; the seed draws voices, words and noises, and ``say`` is that of a synthesiser."""
    for index in range(number):
        rng = np.random.default_rng([seed, index])
        noise, has_speech = NOISES[index // 2 % len(NOISES)], index % 2 == 0
        decibels, level = rng.uniform(*SIGNAL_TO_NOISE_DB), 10 ** rng.uniform(-2.5, -1)
        samples, description = make_noise(noise, rng), f"{noise} alone"
        if has_speech:
            voice, words = str(rng.choice(VOICES)), " ".join(rng.choice(WORDS, size=6))
            speech = say(
                words, voice=voice, words_per_minute=int(rng.integers(140, 220)), pitch=int(rng.integers(20, 80))
            )
            speech = np.resize(speech, NUM_SAMPLES)
            samples += speech * np.sqrt(10 ** (decibels / 10) / (speech**2).mean())
            description = f"{words!r} by {voice} in {noise}, {decibels:.0f} dB"
        samples *= level / np.sqrt((samples**2).mean())
        yield Clip(
            id=f"{index:04d}",
            has_speech=has_speech,
            description=description,
            samples=samples.clip(-1, 1).astype(np.float32),
        )
