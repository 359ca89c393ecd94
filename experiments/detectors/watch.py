"""Watch series with the step detector of another tool, as its users do: again after each commit, over all values so far.

Run in an environment that has the tool: ``python watch.py asv|otava``. Each line of the input is a JSON object, and so is
the answer:

- ``{"values": [...], "start": 50, "most": 100}``: commits until a rise is reported that begins no earlier than five
  commits before the start; ``most`` if none is.
- ``{"values": [...]}``: number of rises that are reported over the whole life, each place once.

Both tools are given values of which larger ones are worse. Thresholds are those that report the most: of asv any rise
counts, not only one of 5 %.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence

Rises = Callable[[Sequence[float]], Sequence[int]]
"""Finds where values rise."""

NEAR = 5
"""Commits by which a place may be off."""

ASKED = (0, 1, 2, 4, 6, 8, 12, 16, 20, 24, 36, 48)
"""Commits since the start after which a tool is asked: on the average it is told a commit or two later than it could be."""

FIRST = 20
"""Values before a tool is asked."""


def rises_by_asv() -> Rises:
    """The function that finds where values rise, by asv."""
    from asv import step_detect  # type: ignore[import-not-found]

    def rises(values: Sequence[float]) -> Sequence[int]:
        _, _, found = step_detect.detect_regressions(step_detect.detect_steps(values))
        return [position for _, position, _, _ in found or []]

    return rises


def rises_by_otava() -> Rises:
    """The same by Otava, with its defaults."""
    from otava.analysis import compute_change_points  # type: ignore[import-not-found]

    def rises(values: Sequence[float]) -> Sequence[int]:
        points, _ = compute_change_points(values)
        return [int(point.index) for point in points if point.stats.mean_2 > point.stats.mean_1]

    return rises


RISES: Mapping[str, Callable[[], Rises]] = {"asv": rises_by_asv, "otava": rises_by_otava}


def wait(rises: Rises, values: Sequence[float], start: int, most: int) -> int:
    """Commits until a rise near the start is reported, as far as :data:`ASKED` tells."""
    for commits in ASKED:
        if commits < most and any(place >= start - NEAR for place in rises(values[: start + commits + 1])):
            return commits
    return most


def count_alarms(rises: Rises, values: Sequence[float]) -> int:
    """Number of places at which a rise is ever reported."""
    places: list[int] = []
    for end in range(FIRST, len(values) + 1):
        for place in rises(values[:end]):
            if all(abs(place - each) > NEAR for each in places):
                places.append(place)
    return len(places)


def main() -> None:
    """Answer each line."""
    rises = RISES[sys.argv[1]]()
    for line in sys.stdin:
        task = json.loads(line)
        if "start" in task:
            answer = wait(rises, task["values"], task["start"], task["most"])
        else:
            answer = count_alarms(rises, task["values"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
