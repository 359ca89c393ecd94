"""Independent streams of random numbers from one seed.

Initialisation, shuffling and every other use have streams of their own, so that a change to one does not affect the
others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derived_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose.

    Args:
        seed: The seed of the whole training run, any integer.
        purpose: Purpose of the random numbers, such as ``"shuffling"``.

    Example:
        >>> derived_seed(0, "shuffling") == derived_seed(0, "initialisation")
        False
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8]) >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A generator on the CPU for one purpose; the same numbers for every device."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose))


@contextmanager
def seeded(seed: int, purpose: str, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, which dropout uses, for one purpose within a block.

    Afterwards, the generators of the CPU and of a CUDA device are restored.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else ()):
        torch.manual_seed(derived_seed(seed, purpose))
        yield
