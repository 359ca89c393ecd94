"""Synthetic examples, batches of them, and their augmentation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from subject.network import NUM_CLASSES, Floats, Integers


def make_examples(num_examples: int, num_inputs: int, rng: np.random.Generator) -> tuple[Floats, Integers]:
    """Points around one centre for each class; the centres are always the same."""
    centres = np.random.default_rng(0).standard_normal((NUM_CLASSES, num_inputs))
    labels = rng.integers(0, NUM_CLASSES, num_examples)
    noise = rng.standard_normal((num_examples, num_inputs))
    return (centres[labels] + noise).astype(np.float32), labels


def iter_batches(
    inputs: Floats, labels: Integers, batch_size: int, rng: np.random.Generator
) -> Iterator[tuple[Floats, Integers]]:
    """All examples in random order."""
    order = rng.permutation(len(labels))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        chosen = order[start : start + batch_size]
        yield inputs[chosen], labels[chosen]


def augment(images: Floats, rng: np.random.Generator) -> Floats:
    """Shift each image by up to two pixels and normalise it."""
    size = images.shape[-1]
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    shifted = np.empty_like(images)
    for number, (down, right) in enumerate(rng.integers(0, 5, (len(images), 2)).tolist()):
        shifted[number] = padded[number, down : down + size, right : right + size]
    mean = shifted.mean(axis=(1, 2), keepdims=True)
    return (shifted - mean) / (shifted.std(axis=(1, 2), keepdims=True) + np.float32(1e-6))
