"""Weights as text and back."""

from __future__ import annotations

import json

import numpy as np

from subject.network import Network


def to_text(network: Network) -> str:
    """All weights as JSON."""
    return json.dumps({name: values.tolist() for name, values in network._asdict().items()})


def from_text(text: str) -> Network:
    """Weights from JSON."""
    return Network(**{name: np.asarray(values, dtype=np.float32) for name, values in json.loads(text).items()})
