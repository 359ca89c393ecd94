"""Changes of known kind and random size, planted into the library code of the subject of the self-test.

A change is a patch to a file of ``subject/src/subject`` on the path that the workloads measure. How large it turned out
is measured apart from any gate, in a process that runs the old and the new code in turns, see ``confirm.py``.

- :class:`Case`: a kind of change, with what a gate must answer.
- :func:`plant`: edit a working tree.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIBRARY = Path("src") / "subject"

Edit = tuple[str, str, str]
"""A file of the library, a text that stands in it exactly once, and its replacement."""

HARMLESS: Sequence[Edit] = (
    ("network.py", '"""The most probable class of each input."""', '"""The class that is most probable, by input."""'),
    ("network.py", "    hidden_error = (error @", "    # back through the second layer\n    hidden_error = (error @"),
    ("data.py", '"""All examples in random order."""', '"""All examples, in an order drawn at random."""'),
    ("text.py", '"""Tokens of a text."""', '"""The tokens of a text, merges in the order they were learned."""'),
    ("search.py", '"""Nearest neighbours by brute force."""', '"""Nearest neighbours; every distance is computed."""'),
    ("checkpoint.py", '"""Weights from JSON."""', '"""Weights from what to_text wrote."""'),
    ("__init__.py", "real work in every part", "every part does real work"),
)
"""Edits of words only, so that two commits differ and do the same."""

RENAMED: Sequence[tuple[str, str, str]] = (
    ("data.py", "chosen", "picked"),
    ("data.py", "padded", "framed"),
    ("search.py", "found", "closest"),
    ("text.py", "position", "index"),
    ("network.py", "exponentials", "powers"),
)
"""Local names and what they may become: file, old, new."""

HEAVY_MODULES = ("asyncio", "http.client", "email.message", "xml.etree.ElementTree", "unittest.mock", "ctypes.util")
"""What the library can import without need."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a change is to be.

    Attributes:
        wanted: Drawn at random near the target: a fraction for time and memory, an accuracy for accuracy.
        rows: Rows of the batch that make a step slower by ``wanted``.
        baseline: Value of the baseline that the size refers to: bytes of peak memory, or accuracy.
    """

    wanted: float = 0.0
    rows: int = 0
    baseline: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """A kind of change and what a gate must answer to it.

    Attributes:
        name: What the table calls it.
        workloads: Folder of the subject's workloads that are gated.
        harmed: Name of the workload and metric that the change harms; empty where none is.
        target: Size aimed at: a fraction for time and memory, an accuracy for accuracy.
        edits: Makes the edits that plant it.
        wanted_gates: Gates of the full and of the one-hour profile.
        never: Verdicts of the gate that are an error.
        bar: What the table asks, in words.
        is_loaded: Whether another process takes a core during half of the run.
    """

    name: str
    workloads: str
    bar: str
    wanted_gates: tuple[int, int]
    never: frozenset[str]
    harmed: tuple[str, str] = ("", "")
    target: float = 0.0
    edits: Callable[[Size, random.Random], Sequence[Edit]] = lambda size, rng: ()
    is_loaded: bool = False

    @property
    def margin(self) -> float:
        """Margin of the harmed metric, as its workload has it."""
        return {"top1_accuracy": 0.002, "import_time": 0.1}.get(self.harmed[1], 0.05)


SMALL = 0.08
"""Slowdowns up to this are made of one product of matrices: to call ``forward`` once more already costs some percent."""


def slower_step(size: Size, rng: random.Random) -> Sequence[Edit]:
    """Compute a part of the batch twice in every step."""
    old = "    hidden, probabilities = forward(network, inputs)\n"
    is_small = size.wanted < SMALL
    part = f"inputs[:{size.rows}] @ network.first" if is_small else f"forward(network, inputs[:{size.rows}])"
    return [("network.py", old, f"{old}    {part}\n")]


def larger_memory(size: Size, rng: random.Random) -> Sequence[Edit]:
    """Keep a workspace that nothing needs."""
    old = "NUM_CLASSES = 10\n"
    return [("network.py", old, f"{old}WORKSPACE = np.ones({round(size.wanted * size.baseline / 8)})\n")]


def heavy_import(size: Size, rng: random.Random) -> Sequence[Edit]:
    """Import much without need."""
    modules = rng.sample(HEAVY_MODULES, k=4)
    return [("network.py", "import numpy as np\n", "".join(f"import {m}\n" for m in modules) + "import numpy as np\n")]


def item_in_step(size: Size, rng: random.Random) -> Sequence[Edit]:
    """Ask for the loss as a number in every step, which waits for the device."""
    return [("deep.py", "    optimizer.step()\n", "    optimizer.step()\n    loss.item()\n")]


def worse_predictions(size: Size, rng: random.Random) -> Sequence[Edit]:
    """Answer wrongly for every so many inputs, and draw batches in another order, so that every training differs."""
    every = round(size.baseline / size.wanted)
    old = "    return probabilities.argmax(axis=1)\n"
    new = (
        "    classes = probabilities.argmax(axis=1)\n"
        f"    classes[{rng.randrange(every)}::{every}] += 1\n"
        "    return classes % NUM_CLASSES\n"
    )
    return [("network.py", old, new), ("data.py", "rng.permutation(len(labels))", "rng.permutation(len(labels))[::-1]")]


STEP, MEMORY, IMPORT, CLOUDS = (
    ("test_train_step", "call_time"),
    ("test_memory_of_training", "peak_memory"),
    ("test_import", "import_time"),
    ("test_clouds", "top1_accuracy"),
)
FAIL, PASS = frozenset({"fail"}), frozenset({"pass"})

CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        Case(
            name="A/A",
            workloads="performance",
            bar="0 of 60 fail (upper bound 4.9 %)",
            wanted_gates=(60, 20),
            never=FAIL,
        ),
        Case(
            name="A/A, one core loaded half of the run",
            workloads="performance",
            bar="no false alarm; the report names the load",
            wanted_gates=(5, 3),
            never=FAIL,
            is_loaded=True,
        ),
        Case(
            name="+3 % step time",
            workloads="performance",
            harmed=STEP,
            target=0.03,
            edits=slower_step,
            bar="fails no more often than 1 %",
            wanted_gates=(10, 3),
            never=FAIL,
        ),
        Case(
            name="+5 % step time",
            workloads="performance",
            harmed=STEP,
            target=0.05,
            edits=slower_step,
            bar="none: exactly at the margin",
            wanted_gates=(5, 2),
            never=frozenset(),
        ),
        Case(
            name="+10 % step time",
            workloads="performance",
            harmed=STEP,
            target=0.10,
            edits=slower_step,
            bar="never pass; within 5 minutes each",
            wanted_gates=(20, 6),
            never=PASS,
        ),
        Case(
            name="+30 % step time",
            workloads="performance",
            harmed=STEP,
            target=0.30,
            edits=slower_step,
            bar="always fail at the first look, at most 90 s inside blocks",
            wanted_gates=(10, 4),
            never=PASS | {"inconclusive"},
        ),
        Case(
            name="+20 % memory",
            workloads="performance",
            harmed=MEMORY,
            target=0.20,
            edits=larger_memory,
            bar="never pass",
            wanted_gates=(5, 2),
            never=PASS,
        ),
        Case(
            name="one heavy import",
            workloads="performance",
            harmed=IMPORT,
            target=0.0,
            edits=heavy_import,
            bar="never pass",
            wanted_gates=(5, 2),
            never=PASS,
        ),
        Case(
            name="one .item() in each step",
            workloads="synchronisation",
            harmed=STEP,
            edits=item_in_step,
            bar="what it costs where it runs; without a GPU there is nothing to wait for",
            wanted_gates=(3, 1),
            never=frozenset(),
        ),
        Case(
            name="-0.1 percentage points",
            workloads="accuracy",
            harmed=CLOUDS,
            target=0.001,
            edits=worse_predictions,
            bar="fails no more often than 1 %",
            wanted_gates=(20, 3),
            never=FAIL,
        ),
        Case(
            name="-0.3 percentage points",
            workloads="accuracy",
            harmed=CLOUDS,
            target=0.003,
            edits=worse_predictions,
            bar="never pass",
            wanted_gates=(20, 3),
            never=PASS,
        ),
        Case(
            name="-0.5 percentage points",
            workloads="accuracy",
            harmed=CLOUDS,
            target=0.005,
            edits=worse_predictions,
            bar="never pass",
            wanted_gates=(20, 3),
            never=PASS,
        ),
    )
}
"""All cases by name."""


def draw_size(case: Case, rng: random.Random, *, cost: Mapping[str, Mapping[str, float]], baseline: float) -> Size:
    """A size within a tenth of the target.

    Args:
        case: What is planted.
        rng: Source of the draw.
        cost: What part of a step it takes to compute no row twice (``fixed``), and each (``per_row``): by one
            ``product`` of matrices, and by the whole ``forward`` pass.
        baseline: Peak memory in bytes, or accuracy, of the subject as it is.
    """
    wanted = case.target * rng.uniform(0.9, 1.1)
    line = cost["product" if wanted < SMALL else "forward"]
    return Size(wanted=wanted, rows=max(1, round((wanted - line["fixed"]) / line["per_row"])), baseline=baseline)


def plant(tree: Path, case: Case, size: Size, rng: random.Random) -> list[Edit]:
    """Edit a working tree of the subject: a few harmless edits, a new local name, and the change itself.

    Returns:
        The edits made, for the log.

    Raises:
        ValueError: If a text to be replaced does not stand in its file exactly once.
    """
    edits = [*case.edits(size, rng), *rng.sample(HARMLESS, k=2)]
    for name, old, new in edits:
        file = tree / LIBRARY / name
        source = file.read_text(encoding="utf-8")
        if source.count(old) != 1:
            raise ValueError(f"{old!r} stands {source.count(old)} times in {name}")
        file.write_text(source.replace(old, new), encoding="utf-8")
    name, old, new = rng.choice(RENAMED)
    file = tree / LIBRARY / name
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return [*edits, (name, old, new)]
