"""Timed pairs on a GPU, unchanged or with work planted in the candidate, judged as the gate judges them.

Pairs during which the GPU was throttled are discarded as a whole. The decision uses what was read over the whole pair, so it
cannot favour a revision, and the results tell how many there were, with their ratios.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.gpu.gauges import Gauge, Watch, is_throttled, summarise, wait_until_cool
from experiments.gpu.test_steps import NUM_STEPS
from experiments.provenance import Row
from experiments.simulate import judge_gates
from mainstay.gates.policy import Design
from mainstay.measuring.scheduling import derive_seeds, draw_block_orders
from mainstay.records.trials import Side
from mainstay.workers.interleaved import MAX_ALTERNATIONS, TimedRequest, TimedTask, run_timed_pair
from mainstay.workers.process import WorkerSpec

SALT = "gpu"
WORKLOAD = "benchmarks/test_steps.py::test_steps"
MARGIN = math.log(1.05)
COOLING_S = 10.0
"""How long a pair waits for a GPU that is throttled before it begins."""

PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")

MeasurePair = Callable[[int], tuple[float, float]]
"""Gives the time of a call of both revisions in one pair."""


def make_specs(folder: Path, *, planted: int, device: str, width: int) -> dict[Side, WorkerSpec]:
    """Workers of two revisions in this very environment; the candidate's calls have some steps more."""
    measure, scratch = folder / "measure", folder / "scratch"
    for place in (measure / "benchmarks", scratch):
        place.mkdir(parents=True)
    (measure / "pytest.ini").touch()
    shutil.copy(Path(__file__).with_name("test_steps.py"), measure / "benchmarks")
    shared = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {
        side: WorkerSpec(
            side=side,
            python=sys.executable,
            own=str(folder),
            roots=("experiments",),
            folder=str(measure),
            configuration=str(measure / "pytest.ini"),
            scratch=str(scratch),
            variables={
                **shared,
                "PYTHONHASHSEED": "0",
                "OMP_NUM_THREADS": "1",
                "STEPS_DEVICE": device,
                "STEPS_WIDTH": str(width),
                "PLANTED_STEPS": str(planted if side is Side.CANDIDATE else 0),
            },
        )
        for side in Side
    }


def pair_measurer(specs: Mapping[Side, WorkerSpec], *, seconds: float) -> MeasurePair:
    """A function that measures one pair with the gate's own workers.

    Args:
        specs: The worker of each side.
        seconds: Of the blocks of both revisions together.
    """

    def measure(pair: int) -> tuple[float, float]:
        task = TimedTask(
            workload=WORKLOAD,
            seed=derive_seeds(SALT, "", WORKLOAD, pair + 1)[pair],
            first=draw_block_orders(SALT, "", WORKLOAD, pair, MAX_ALTERNATIONS),
            gated=("call_time",),
        )
        trials = run_timed_pair(specs, TimedRequest(pair=pair, tasks=(task,), seconds=seconds, limit_s=60.0)).trials
        if wrong := next((trial for trial in trials if "call_time" not in trial.values), None):
            raise RuntimeError(f"{wrong.side}: {wrong.cause}: {' '.join(wrong.last_lines[-5:])}")
        times = {trial.side: trial.values["call_time"] for trial in trials}
        return times[Side.BASELINE], times[Side.CANDIDATE]

    return measure


def run_campaign(
    measure: MeasurePair,
    gauge: Gauge,
    *,
    planted: int,
    num_pairs: int,
    seconds: float,
    keep: Callable[[Row], None],
    clock: Callable[[], float] = time.monotonic,
) -> Row:
    """Measure pairs until enough are sound or the time is up.

    Args:
        measure: Measures a pair.
        gauge: Read during every pair.
        planted: Steps that the candidate makes in addition, of :data:`~experiments.gpu.test_steps.NUM_STEPS`.
        num_pairs: Sound pairs that are wanted.
        seconds: Seconds after which no pair is begun that may not end in time.
        keep: Called with the results after every pair.
        clock: Gives the time.
    """
    pairs: list[Row] = []
    start, longest = clock(), 0.0
    results = campaign_results(pairs, planted=planted)
    while sum(not pair["is_discarded"] for pair in pairs) < num_pairs and clock() - start + longest < seconds:
        began = clock()
        waited = wait_until_cool(gauge, at_most_s=COOLING_S)
        with Watch(gauge) as watch:
            baseline, candidate = measure(len(pairs))
        pairs.append(
            {
                "pair": len(pairs),
                "baseline_s": baseline,
                "candidate_s": candidate,
                "log_ratio": math.log(candidate / baseline),
                "waited_s": round(waited, 1),
                "is_discarded": is_throttled(watch.readings),
                **summarise(watch.readings),
            }
        )
        longest = max(longest, clock() - began)
        results = campaign_results(pairs, planted=planted)
        keep(results)
    return results


def campaign_results(pairs: Sequence[Row], *, planted: int) -> Row:
    """What some pairs come to, without those that were discarded."""
    sound = [pair for pair in pairs if not pair["is_discarded"]]
    ratios = np.array([pair["log_ratio"] for pair in sound])
    return {
        "planted": planted / NUM_STEPS,
        "margin": math.expm1(MARGIN),
        "num_pairs": len(sound),
        "num_discarded": len(pairs) - len(sound),
        "mean_change": math.expm1(ratios.mean()) if sound else None,
        "sd_of_a_pair": float(ratios.std(ddof=1)) if len(sound) > 1 else None,
        "verdict": verdict_of(sound),
        "pairs": list(pairs),
    }


def verdict_of(pairs: Sequence[Row]) -> str:
    """The gate's verdict on some pairs: ``pass``, ``fail`` or ``inconclusive``."""
    if not pairs:
        return "inconclusive"
    values = np.log([[pair["baseline_s"] for pair in pairs], [pair["candidate_s"] for pair in pairs]])
    verdicts = judge_gates(
        (values[1] - values[0]).reshape(1, 1, -1),
        values=values.reshape(2, 1, 1, -1),
        margin=MARGIN,
        design=Design(num_gated=1),
    )
    if verdicts.fails.any():
        return "fail"
    return "pass" if verdicts.passes.any() else "inconclusive"
