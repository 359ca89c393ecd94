"""What the ways to train share: the command line, MNIST as NumPy arrays, the clock, and the line that each prints.

Only the standard library is imported at the top, so that a way pays for its own imports and for no others.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HIDDEN_WIDTHS = (128, 64)
NUM_INPUTS = 784
NUM_CLASSES = 10
BATCH_SIZE = 64
LEARNING_RATE = 0.001


class Options(NamedTuple):
    """What every way is told.

    Attributes:
        epochs: Passes over the training images.
        seed: Of the weights and of the order of the images.
        data: Folder with the unpacked MNIST files in ``MNIST/raw``.
        device: Device of PyTorch, for those ways that ask for one.
    """

    epochs: int
    seed: int
    data: Path
    device: str = "cpu"


def parsed_options(description: str | None) -> Options:
    """The options of the process."""
    return Options(**vars(options_parser(description).parse_args()))


def options_parser(description: str | None) -> argparse.ArgumentParser:
    """The command line that all ways have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--epochs", type=int, default=10, help="passes over the training images")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the images")
    parser.add_argument("--data", type=Path, required=True, help="folder with the unpacked MNIST files in MNIST/raw")
    parser.add_argument("--device", default="cpu", help="of PyTorch, for those ways that ask for one")
    return parser


class Clock:
    """Times the parts of a training, each from where the last one ended; starts when it is made."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.import_s = self.setup_s = 0.0
        self.epoch_s: list[float] = []

    def imported(self) -> None:
        """The libraries are imported."""
        self.import_s = self._lap()

    def ready(self) -> None:
        """Data, model and optimiser are there, and what is compiled ahead is compiled."""
        self.setup_s = self._lap()

    def epoch_done(self) -> None:
        """One more pass over the training images is over."""
        self.epoch_s.append(self._lap())

    def print_report(self, name: str, test_accuracy: float | None) -> None:
        """End a way: print what was measured as one line of JSON.

        Args:
            name: Of the way.
            test_accuracy: Share of the test images that are read rightly; ``None`` where nothing was trained.
        """
        facts: dict[str, Any] = {
            "name": name,
            "import_s": self.import_s,
            "setup_s": self.setup_s,
            "epoch_s": self.epoch_s,
            "test_accuracy": test_accuracy,
            "peak_rss_bytes": peak_rss_bytes(),
        }
        print(json.dumps(facts))

    def _lap(self) -> float:
        """Seconds since the end of the last part."""
        last, self.last = self.last, time.perf_counter()
        return self.last - last


def peak_rss_bytes() -> int:
    """The most memory of this process that was resident at once."""
    import resource  # not on Windows, where this file must still be collected

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def mnist_split(data: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images and labels as they are stored.

    Args:
        data: Folder with the unpacked files in ``MNIST/raw``.
        split: ``train`` or ``t10k``.

    Returns:
        Images (N, 784) in [0, 255] and labels (N,).

    References:
        The format is IDX: a magic number and the sizes, 4 bytes each, then the values.
    """
    import numpy as np

    def stored(kind: str, sizes: int) -> NDArray[np.uint8]:
        content = bytearray((data / "MNIST" / "raw" / f"{split}-{kind}-idx{sizes}-ubyte").read_bytes())
        return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * sizes)

    return stored("images", 3).reshape(-1, NUM_INPUTS), stored("labels", 1)


def scaled_mnist(data: Path) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """Train images, train labels, test images, test labels; images (N, 784), float32 in [0, 1]."""
    import numpy as np

    (train_images, train_labels), (test_images, test_labels) = (mnist_split(data, split) for split in ("train", "t10k"))
    train_pixels, test_pixels = (images.astype(np.float32) for images in (train_images, test_images))
    train_pixels /= 255
    test_pixels /= 255
    return train_pixels, train_labels, test_pixels, test_labels


def layer_widths() -> Sequence[tuple[int, int]]:
    """Inputs and outputs of each layer.

    Example:
        >>> layer_widths()
        [(784, 128), (128, 64), (64, 10)]
    """
    widths = (NUM_INPUTS, *HIDDEN_WIDTHS, NUM_CLASSES)
    return list(itertools.pairwise(widths))
