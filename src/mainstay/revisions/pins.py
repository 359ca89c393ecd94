"""Exact pins that the resolver of uv found.

- :class:`Pins`: pins, and packages of the tree itself.
- :func:`indexes_of`: the index of each pin that a named one serves.
- :func:`place_of`: where a package of the tree lies.
- :func:`exact_versions`: the pins that can be constraints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mainstay.project.requirements import names_of, requirement_name

SERVED = " from "
"""What stands between a pin and the address of the index that serves it."""


class Pins(NamedTuple):
    """Result of the resolver: exact requirements, and packages of the tree itself.

    A package of the tree is written as ``helper @ libs/helper``. The field ``altered`` and all after it are as in
    :class:`~mainstay.revisions.resolution.Resolution`.
    """

    pins: tuple[str, ...]
    placed: tuple[str, ...]
    altered: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    contested: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def indexes(self) -> dict[str, str]:
        """Address of the index of each pin; empty if no named one serves it."""
        served = indexes_of(self.served)
        return {pin: served.get(pin, "") for pin in self.pins}

    @property
    def taken(self) -> tuple[str, ...]:
        """All packages, pins with the address of their index, since another may serve another package as this version."""
        return (*(_with_index(pin, index) for pin, index in self.indexes.items()), *self.placed)

    def taken_from(self, indexes: Mapping[str, str]) -> Pins:
        """The same packages; pins that are given come from the index at the address that stands beside them."""
        found = self.indexes
        found |= {pin: index for pin, index in indexes.items() if pin in found}
        return self._replace(served=tuple(_with_index(pin, index) for pin, index in found.items() if index))

    @property
    def packages(self) -> tuple[str, ...]:
        """All packages, wherever they come from."""
        return (*self.pins, *self.placed)

    @property
    def places(self) -> tuple[str, ...]:
        """Folders and files of the packages of the tree, as paths relative to it."""
        return tuple(sorted(map(place_of, self.placed)))

    def with_placed(self, more: Iterable[str]) -> Pins:
        """The same packages and some of the tree, which take the place of pins of the same names."""
        placed = {*self.placed, *more}
        pins = tuple(pin for pin in self.pins if requirement_name(pin) not in names_of(placed))
        return self._replace(pins=pins, placed=tuple(sorted(placed)))


def indexes_of(served: Iterable[str]) -> dict[str, str]:
    """Address of the index of each pin that a named index serves.

    Args:
        served: Pins with their indexes, as in :class:`~mainstay.revisions.resolution.Resolution`.

    Example:
        >>> indexes_of(["torch==2.9.0+cpu from https://host/cpu"])
        {'torch==2.9.0+cpu': 'https://host/cpu'}
    """
    return dict(each.split(SERVED, 1) for each in served)


def place_of(placed: str) -> str:
    """The path in the text of a package of the tree.

    Example:
        >>> place_of("helper @ libs/helper")
        'libs/helper'
    """
    return placed.partition(" @ ")[2]


def exact_versions(pins: Iterable[str]) -> list[str]:
    """The pins that can be constraints: those of a version, not of a URL.

    Example:
        >>> exact_versions(["click==8.1.8", "own @ https://host/own.whl"])
        ['click==8.1.8']
    """
    return [pin for pin in pins if "==" in pin]


def _with_index(pin: str, index: str) -> str:
    return f"{pin}{SERVED}{index}" if index else pin
