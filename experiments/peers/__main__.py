"""Time mainstay's reference model beside other ways to do the same work, and hold it to its bars.

Every way is a script beside this one that trains the article's model (784-128-64-10, ReLU, Adam at 0.001, batches of
64) on MNIST with pixels in [0, 1]. Each is started as a process of its own, all of them once a turn, in an order drawn
anew for every turn. Ratios are taken within turns, so that a slow minute of the machine falls on both sides; their
median is given with the least and the greatest. A whole command runs from the start of the process to its end; a
steady epoch is the median over all but the first. All use two threads: those with OpenMP or BLAS are told so, JAX
makes one for each core that the process may use, which are two where the system can pin processes (Linux).

    nox -s peers
    nox -s peers -- --quick --only mainstay article
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from statistics import median
from typing import Any, NamedTuple

from experiments.provenance import ROOT, commit, versions, write_results
from mainstay.workers.machine import describe_machine

RESULTS = ROOT / "docs" / "results" / "peers.json"
NUM_EPOCHS = 10
NUM_TURNS = 3
QUICK_EPOCHS = 2
NUM_THREADS = 2
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(NUM_THREADS))
NO_ACCELERATOR = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
DISTRIBUTIONS = ("mainstay", "torch", "torchvision", "numpy", "scikit-learn", "jax", "optax", "keras")


class Peer(NamedTuple):
    """One way to do the work.

    Attributes:
        module: Its script, with the arguments of its own.
        what: What it is.
        needs: What must be importable for it.
    """

    module: tuple[str, ...]
    what: str
    needs: tuple[str, ...] = ("torch",)


PEERS: Mapping[str, Peer] = {
    "mainstay": Peer(("reference",), "mnist_reference.training.train.train"),
    "article": Peer(("article",), "the article's script: torchvision, ToTensor, DataLoader", ("torch", "torchvision")),
    "dataloader": Peer(("dataloader",), "PyTorch, TensorDataset in a DataLoader"),
    "sklearn": Peer(("sklearn_mlp",), "scikit-learn, MLPClassifier", ("sklearn",)),
    "jax": Peer(("jax_scan",), "JAX and optax, an epoch as one compiled scan", ("jax", "optax")),
    "keras": Peer(("keras_fit",), "Keras on JAX, fit", ("keras", "jax")),
    "shortest": Peer(
        ("reference", "--recipe", "mlp_98"),
        "the recipe mlp_98, which reads 98 % of the test images rightly, with its own epochs",
    ),
    "bare": Peer(("bare_torch",), "import torch and the data set, no training"),
}
SAME_WORK = ("mainstay", "article", "dataloader", "sklearn", "jax", "keras")
"""Those that train one model, and so are whole commands for the same result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What one process took.

    Attributes:
        turn: Number of the turn, from 1; its training had the seed before it.
        name: Of the way.
        command_s: From the start of the process to its end.
        import_s: Of that, the imports.
        setup_s: Of that, data, model and what is compiled ahead.
        epoch_s: Of that, each epoch.
        test_accuracy: Share of the test images that are read rightly; ``None`` where nothing was trained.
        peak_rss_bytes: The most memory that was resident at once.
    """

    turn: int
    name: str
    command_s: float
    import_s: float
    setup_s: float
    epoch_s: tuple[float, ...]
    test_accuracy: float | None
    peak_rss_bytes: int

    @property
    def steady_epoch_s(self) -> float:
        """Median time of the epochs but the first, if there are others.

        Raises:
            StatisticsError: If there is no epoch.
        """
        return median(self.epoch_s[1:] or self.epoch_s)


class Spread(NamedTuple):
    """Some values of one quantity.

    Attributes:
        median: The middle one.
        low: The least.
        high: The greatest.
    """

    median: float
    low: float
    high: float


Turn = Mapping[str, Sample]
"""The samples of one turn by name."""


class Bar(NamedTuple):
    """What is asked of the reference model.

    Attributes:
        what: The quantity, in most cases a ratio.
        needs: The ways that it is taken from.
        ratio: Its value in one turn.
        limit: What it is held to; ``None`` where it is told and not held to anything.
        is_least: Whether the limit is the least allowed; else it is the most.
    """

    what: str
    needs: tuple[str, ...]
    ratio: Callable[[Turn], float]
    limit: float | None
    is_least: bool = True

    @property
    def in_words(self) -> str:
        """What is asked.

        Example:
            >>> Bar("epoch", ("jax",), lambda turn: 1.0, limit=1.2, is_least=False).in_words
            'at most 1.2'
        """
        return "none" if self.limit is None else f"{'at least' if self.is_least else 'at most'} {self.limit:g}"


class Judged(NamedTuple):
    """A bar and what was found.

    Attributes:
        bar: What was asked.
        found: The ratios of all turns; ``None`` if a way that it needs was not run.
    """

    bar: Bar
    found: Spread | None

    @property
    def verdict(self) -> str:
        """``met``, ``not met``, ``not measured``, or ``told`` where nothing is asked.

        Example:
            >>> bar = Bar("epoch", ("jax",), lambda turn: 1.0, limit=1.2, is_least=False)
            >>> [Judged(bar, found).verdict for found in (Spread(1.1, 1.0, 1.3), Spread(1.3, 1.1, 1.4), None)]
            ['met', 'not met', 'not measured']
        """
        if self.found is None:
            return "not measured"
        if self.bar.limit is None:
            return "told"
        is_met = self.found.median >= self.bar.limit if self.bar.is_least else self.found.median <= self.bar.limit
        return "met" if is_met else "not met"


def fastest_other(turn: Turn) -> float:
    """Whole command of the fastest other way over that of mainstay."""
    others = (turn[name].command_s for name in SAME_WORK if name != "mainstay")
    return min(others) / turn["mainstay"].command_s


BARS = (
    Bar(
        "steady epoch of the article's script over mainstay's",
        ("mainstay", "article"),
        lambda turn: turn["article"].steady_epoch_s / turn["mainstay"].steady_epoch_s,
        limit=10,
    ),
    Bar(
        "whole command of the article's script over mainstay's",
        ("mainstay", "article"),
        lambda turn: turn["article"].command_s / turn["mainstay"].command_s,
        limit=6,
    ),
    Bar(
        "steady epoch of mainstay over JAX's compiled scan",
        ("mainstay", "jax"),
        lambda turn: turn["mainstay"].steady_epoch_s / turn["jax"].steady_epoch_s,
        limit=1.2,
        is_least=False,
    ),
    Bar("whole command of the fastest other way over mainstay's", SAME_WORK, fastest_other, limit=1),
    Bar(
        "seconds of training to 98 % of the test images, by the recipe mlp_98",
        ("shortest",),
        lambda turn: sum(turn["shortest"].epoch_s),
        limit=None,
    ),
    Bar(
        "peak resident memory of mainstay over import torch and the data set",
        ("mainstay", "bare"),
        lambda turn: turn["mainstay"].peak_rss_bytes / turn["bare"].peak_rss_bytes,
        limit=1.3,
        is_least=False,
    ),
)


def spread(values: Iterable[float]) -> Spread:
    """The middle and the ends of some values.

    Example:
        >>> spread([3.0, 1.0, 2.5])
        Spread(median=2.5, low=1.0, high=3.0)
    """
    listed = sorted(values)
    return Spread(median(listed), listed[0], listed[-1])


def judge_bars(turns: Sequence[Turn], bars: Sequence[Bar] = BARS) -> list[Judged]:
    """Every bar with the spread of its ratios over the turns.

    Args:
        turns: All of the same ways.
        bars: What is asked.
    """
    return [
        Judged(bar, spread(map(bar.ratio, turns)) if turns and turns[0].keys() >= set(bar.needs) else None)
        for bar in bars
    ]


def peer_table(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """A row for each way: medians over the turns, and the accuracies from the least to the greatest."""
    rows = []
    for name in turns[0]:
        samples = [turn[name] for turn in turns]
        accuracies = [sample.test_accuracy for sample in samples if sample.test_accuracy is not None]
        accuracy = spread(accuracies) if accuracies else None
        rows.append(
            {
                "name": name,
                "what": PEERS[name].what,
                "command_s": median(sample.command_s for sample in samples),
                "import_s": median(sample.import_s for sample in samples),
                "import_share": median(sample.import_s / sample.command_s for sample in samples),
                "setup_s": median(sample.setup_s for sample in samples),
                "steady_epoch_s": median(sample.steady_epoch_s for sample in samples) if accuracy else None,
                "test_accuracy": accuracy.median if accuracy else None,
                "lowest_test_accuracy": accuracy.low if accuracy else None,
                "highest_test_accuracy": accuracy.high if accuracy else None,
                "peak_rss_bytes": median(sample.peak_rss_bytes for sample in samples),
            }
        )
    return rows


def ratio_table(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """A row for each other way to train one model: its times over mainstay's, within turns; empty without mainstay."""
    others = [name for name in SAME_WORK if name != "mainstay" and name in turns[0]]
    if "mainstay" not in turns[0]:
        return []
    return [
        {
            "name": name,
            "command": spread(turn[name].command_s / turn["mainstay"].command_s for turn in turns)._asdict(),
            "steady_epoch": spread(
                turn[name].steady_epoch_s / turn["mainstay"].steady_epoch_s for turn in turns
            )._asdict(),
        }
        for name in others
    ]


def bar_table(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """A row for each bar."""
    return [
        {
            "bar": one.bar.what,
            "limit": one.bar.in_words,
            **(one.found._asdict() if one.found else dict.fromkeys(Spread._fields)),
            "verdict": one.verdict,
        }
        for one in judged
    ]


def render_tables(turns: Sequence[Turn], judged: Sequence[Judged]) -> str:
    """All that was found, as text for a terminal."""
    return "\n".join([*peer_lines(turns), "", *ratio_lines(turns), *map(bar_line, judged)])


def peer_lines(turns: Sequence[Turn]) -> Iterator[str]:
    """The medians of each way."""
    yield f"{'':12}{'command':>10}{'imports':>16}{'setup':>9}{'epoch':>9}{'memory':>9}  test accuracy"
    for row in peer_table(turns):
        epoch, accuracy = "-", "-"
        if row["test_accuracy"] is not None:
            epoch = f"{row['steady_epoch_s']:.3f} s"
            low, high = row["lowest_test_accuracy"], row["highest_test_accuracy"]
            accuracy = f"{row['test_accuracy']:.4f} ({low:.4f} to {high:.4f})"
        imports = f"{row['import_s']:.2f} s ({row['import_share']:.0%})"
        yield (
            f"{row['name']:12}{row['command_s']:8.2f} s{imports:>16}{row['setup_s']:7.2f} s{epoch:>9}"
            f"{row['peak_rss_bytes'] / 1e6:6.0f} MB  {accuracy}"
        )


def ratio_lines(turns: Sequence[Turn]) -> Iterator[str]:
    """The times of the others over mainstay's."""
    for row in ratio_table(turns):
        command, epoch = (Spread(**row[part]) for part in ("command", "steady_epoch"))
        yield f"{row['name']} over mainstay: command {in_words(command)}, steady epoch {in_words(epoch)}"


def bar_line(judged: Judged) -> str:
    """A bar with its figure and verdict.

    Example:
        >>> bar = Bar("epoch of JAX", ("jax",), lambda turn: 1.0, limit=1.2, is_least=False)
        >>> bar_line(Judged(bar, Spread(1.25, 1.125, 1.5)))
        'not met: epoch of JAX: 1.25 (1.12 to 1.50), bar at most 1.2'
        >>> bar_line(Judged(bar, None))
        'not measured: epoch of JAX: needs jax, bar at most 1.2'
    """
    bar, found = judged
    figure = in_words(found) if found else f"needs {', '.join(bar.needs)}"
    return f"{judged.verdict}: {bar.what}: {figure}, bar {bar.in_words}"


def in_words(ratios: Spread) -> str:
    """Some ratios as text.

    Example:
        >>> in_words(Spread(2.0, 1.5, 12.25))
        '2.00 (1.50 to 12.25)'
    """
    return f"{ratios.median:.2f} ({ratios.low:.2f} to {ratios.high:.2f})"


def measure_turns(names: Sequence[str], *, num_turns: int, epochs: int, data: str, seed: int) -> list[Turn]:
    """Run every way once a turn.

    Args:
        names: Of the ways.
        num_turns: How often.
        epochs: Passes over the training images in each run.
        data: Folder of the MNIST files.
        seed: Governs the orders.
    """
    chance = random.Random(seed)
    turns: list[Turn] = []
    for turn in range(1, num_turns + 1):
        samples = {}
        for name in chance.sample(names, len(names)):
            samples[name] = measure_sample(name, turn=turn, epochs=epochs, data=data)
            told = f"turn {turn} of {num_turns}: {name} took {samples[name].command_s:.1f} s"
            print(told, file=sys.stderr, flush=True)
        turns.append({name: samples[name] for name in names})
    return turns


def measure_sample(name: str, *, turn: int, epochs: int, data: str, device: str = "cpu") -> Sample:
    """Run one way in a process of its own.

    Raises:
        SystemExit: If it fails, with what it said.
    """
    script, *arguments = PEERS[name].module
    command = [sys.executable, "-m", f"experiments.peers.{script}", *arguments, "--data", data]
    command += ["--epochs", str(epochs), "--seed", str(turn - 1), "--device", device]
    environment = os.environ | THREADS | (NO_ACCELERATOR if device == "cpu" else {})
    started = time.perf_counter()
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    command_s = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"error: {name} ended with status {process.returncode}:\n{process.stderr}")
    facts = json.loads(process.stdout.splitlines()[-1])
    return Sample(**facts | {"turn": turn, "name": name, "command_s": command_s, "epoch_s": tuple(facts["epoch_s"])})


def pin_to_cores() -> None:
    """Let this process and those that it starts use as many cores as there are threads, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:NUM_THREADS])


def data_folder() -> str:
    """Where MNIST is; it is fetched if it is not there."""
    command = [sys.executable, "-m", "mnist_reference", "fetch", "--data", "mnist", "--json"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return str(json.loads(answer)["MNIST_REFERENCE_ROOT"])


def missing_libraries(name: str) -> list[str]:
    """What a way needs and is not installed."""
    return [library for library in PEERS[name].needs if find_spec(library) is None]


def provenance(*, num_turns: int, epochs: int, seed: int) -> dict[str, Any]:
    """Where, with what and how all was measured; to be taken before it is."""
    machine = describe_machine()
    installed = {distribution.name for distribution in distributions()}
    return {
        "command": "nox -s peers",
        "commit": commit(),
        "num_turns": num_turns,
        "num_epochs": epochs,
        "training_seeds": list(range(num_turns)),
        "order_seed": seed,
        "threads": NUM_THREADS,
        "machine": {
            "processor": machine.processor,
            "num_cores": machine.num_cores,
            "memory_bytes": machine.memory_bytes,
            "system": platform.system(),
            "load_at_start": machine.load_at_start,
        },
        "versions": versions("python", *(name for name in DISTRIBUTIONS if name in installed)),
    }


def results_document(facts: Mapping[str, Any], turns: Sequence[Turn], judged: Sequence[Judged]) -> dict[str, Any]:
    """What is kept of a whole measurement."""
    samples = [sample for turn in turns for sample in turn.values()]
    return {
        **facts,
        "bars": bar_table(judged),
        "ways": peer_table(turns),
        "ratios_over_mainstay": ratio_table(turns),
        "samples": [asdict(sample) for sample in samples],
    }


def parsed_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=NUM_TURNS, help="how often each way is run")
    parser.add_argument("--epochs", type=int, default=NUM_EPOCHS, help="of each run")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--quick", action="store_true", help=f"one turn of {QUICK_EPOCHS} epochs")
    parser.add_argument("--seed", type=int, default=0, help="governs the order of the ways in each turn")
    options = parser.parse_args(arguments)
    if min(options.turns, options.epochs) < 1:
        parser.error("turns and epochs are at least 1")
    if options.quick:
        options.turns, options.epochs = 1, QUICK_EPOCHS
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and keep the results where nothing was left out."""
    options = parsed_options(arguments)
    names = []
    for name in dict.fromkeys(options.only):
        if missing := missing_libraries(name):
            print(f"skipped {name}: not installed: {', '.join(missing)}", file=sys.stderr)
        else:
            names.append(name)
    if not names:
        raise SystemExit("error: none of the ways can be run")
    facts = provenance(num_turns=options.turns, epochs=options.epochs, seed=options.seed)
    data = data_folder()
    pin_to_cores()
    turns = measure_turns(names, num_turns=options.turns, epochs=options.epochs, data=data, seed=options.seed)
    judged = judge_bars(turns)
    threads = (
        f"{NUM_THREADS} threads each: {', '.join(THREADS)}, and as many cores for JAX where processes can be pinned"
    )
    print(f"turns: {options.turns}, epochs: {options.epochs}, {threads}")
    print(render_tables(turns, judged))
    if names == list(PEERS) and options.epochs == NUM_EPOCHS and options.turns >= NUM_TURNS:
        write_results(RESULTS, results_document(facts, turns, judged))
        print(f"wrote {RESULTS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
