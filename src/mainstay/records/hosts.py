"""What the machines that measure for one gate have in common, whether it is resumed, sharded or sent to a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What must be the same on all machines that measure for one gate.

    Attributes:
        python: Version of Python, with which the environments are made.
        mainstay: Version of the tool.
        device: Kind of device.
    """

    python: str
    mainstay: str
    device: str


NAMED_FACTS = {"python": "Python", "mainstay": "the version of mainstay", "device": "the kind of device"}
"""Fields of :class:`Facts`, with their names in messages."""
