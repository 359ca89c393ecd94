"""The shape of an image and the number of classes, the same in both data sets."""

from __future__ import annotations

IMAGE_SIDE = 28
NUM_CLASSES = 10
