"""Shards: which pairs of a gate each of several machines measures; this module touches nothing outside itself.

- :class:`Shard`: one share of the pairs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from mainstay.records.errors import UsageError


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several shares of the pairs of a gate. Both trials of a pair are always measured on the same machine.

    Attributes:
        number: Number of the shard, from 1.
        count: Number of shards.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``I/N``.

        Raises:
            UsageError: If the text is not of this form, or ``I`` is not between 1 and ``N``.

        Example:
            >>> Shard.parse("2/4")
            Shard(number=2, count=4)
        """
        match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"{text!r} is not a shard", next_step="give I/N with I from 1 to N, such as --shard 2/4")
        return cls(int(match[1]), int(match[2]))

    def owns(self, workload: int, pair: int) -> bool:
        """Whether this shard measures a pair of a workload.

        Consecutive pairs go to consecutive shards, and each workload begins with another one, so every shard has about
        the same number of pairs of each workload.

        Args:
            workload: Position of the workload in the plan.
            pair: Number of the pair.

        Example:
            >>> [[shard for shard in (1, 2, 3) if Shard(shard, 3).owns(1, pair)] for pair in range(4)]
            [[2], [3], [1], [2]]
        """
        return (workload + pair) % self.count == self.number - 1

    @property
    def folder(self) -> str:
        """Name of the folder of its piece."""
        return f"shard-{self.number}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"
