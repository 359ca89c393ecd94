"""Plant regressions that a clock may not see, and write down whether the counts of one run name them.

Run from the root of the repository; it takes a few minutes, and goes on where it was stopped::

    python -m experiments.torch_counts

Each regression is one edit of ``experiments/counted/model.py``. Both revisions run their three workloads in workers of the
gate, whose own measuring loop judges the counts, so a run is what a gate does between building environments and reporting.
A regression is named if the gate fails the metric that stands beside it, with a line that begins with what was added and
names the file. Changes that add nothing must change no count.

The counts of the unchanged library are also taken with the least instruction set and with one and several threads, to show
that neither matters.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from experiments.provenance import ROOT, commit, versions, write_results
from mainstay.gates.policy import Design
from mainstay.measuring.agenda import Assignment
from mainstay.measuring.evaluated import make_logs
from mainstay.measuring.loop import Measurement, SilentObserver
from mainstay.measuring.scheduling import derive_seeds
from mainstay.records.executions import ONCE
from mainstay.records.findings import Finding, Verdict
from mainstay.records.metrics import Direction, Kind, Metric, Workload
from mainstay.records.trials import Side
from mainstay.store.files import write_text
from mainstay.workers.fork_server import fork_servers
from mainstay.workers.interleaved import run_timed_pair
from mainstay.workers.machine import describe_machine
from mainstay.workers.pairs import run_pair
from mainstay.workers.process import WorkerSpec
from mainstay.workers.session import LiveWorkers

SUBJECT = Path(__file__).with_name("counted")
RESULTS = ROOT / "docs" / "results" / "torch_counts.json"
PRELOADED = ("torch", "torch._dynamo", "torch._inductor.compile_fx")
IMPORT_SECONDS = 300.0
OF_TENSORS = (
    *(
        "synchronisations",
        "blocking_transfers",
        "operators",
        "copies",
        "autograd_calls",
        "kept_tensors",
        "live_tensors",
    ),
)
WORKLOADS: Mapping[str, Sequence[str]] = {
    "test_training": OF_TENSORS,
    "test_evaluation": OF_TENSORS,
    "test_compiled": ("graph_breaks", "recompiles"),
}


class Planted(NamedTuple):
    """One edit of the library.

    Attributes:
        what: What it is.
        edits: What is replaced, and by what.
        metric: The metric that must fail; empty if nothing may change.
        named: What the report must name as added.
    """

    what: str
    edits: Sequence[tuple[str, str]]
    metric: str = ""
    named: str = ""


PLANTED = (
    Planted(
        "a value read in every step",
        [("return loss.detach()", "self.latest = loss.item()\n        return loss.detach()")],
        "synchronisations",
        "aten::_local_scalar_dense x3",
    ),
    Planted(
        ".cpu() in the loop",
        [("total += self.step(batch, targets)", "total += self.step(batch, targets).cpu()")],
        "synchronisations",
        "Tensor.cpu x3",
    ),
    Planted(
        "a transfer that waits",
        [("images.to(DEVICE, non_blocking=True)", "images.to(DEVICE)")],
        "blocking_transfers",
        "Tensor.to(device) x3",
    ),
    Planted(
        "a copy of each batch", [("self.network(images)", "self.network(images.clone())")], "copies", "aten::clone x3"
    ),
    Planted(
        "a loss in double precision",
        [("cross_entropy(logits, labels)", "cross_entropy(logits.double(), labels)")],
        "copies",
        "aten::_to_copy, float32 to float64 x3",
    ),
    Planted(
        "a graph break",
        [("    return functional.relu(centred)", '    print("scored")\n    return functional.relu(centred)')],
        "graph_breaks",
        "Failed to trace builtin operator",
    ),
    Planted(
        "a recompilation for each shape",
        [("yield functional.pad(batch, (0, 0, 0, BATCH_SIZE - len(batch)))", "yield batch")],
        "recompiles",
        "tensor 'images' size mismatch at index 0.",
    ),
    Planted(
        "a layer more in evaluation",
        [
            ("self.outer = nn", "self.again = nn.Linear(128, 128)\n        self.outer = nn"),
            (
                "        return self.outer",
                "        hidden = hidden if self.training else self.again(hidden)\n        return self.outer",
            ),
        ],
        "operators",
        "aten::addmm x3",
    ),
    Planted(
        "gradients kept in evaluation",
        [("@torch.no_grad()\n", "")],
        "autograd_calls",
        "torch.nn.functional.linear x3",
    ),
    Planted(
        "a list of losses that keeps every graph",
        [("self.optimizer.zero_grad()", "self.losses.append(loss)\n        self.optimizer.zero_grad()")],
        "kept_tensors",
        "aten::nll_loss_forward x3",
    ),
    Planted(
        "the network run twice",
        [
            (
                "logits = self.network(images)",
                "logits = self.network(images)\n        self.right = self.network(images).argmax(1)",
            )
        ],
        "operators",
        "aten::addmm x3",
    ),
    Planted(
        "lines moved", [("images = images.to(", "# a comment\n\n        # and another\n        images = images.to(")]
    ),
    Planted(
        "a local renamed", [("logits = self", "outputs = self"), ("cross_entropy(logits", "cross_entropy(outputs")]
    ),
)
"""The last two are controls."""


def plant(place: Path, edits: Sequence[tuple[str, str]]) -> None:
    """Write the library with some edits below a folder.

    Raises:
        ValueError: If there is nothing to replace.
    """
    text = (SUBJECT / "model.py").read_text(encoding="utf-8")
    for old, new in edits:
        if text.count(old) != 1:
            raise ValueError(f"what is to be replaced stands {text.count(old)} times in the library: {old}")
        text = text.replace(old, new)
    package = place / "experiments" / "counted"
    package.mkdir(parents=True)
    (place / "experiments" / "__init__.py").touch()
    (package / "__init__.py").touch()
    write_text(package / "model.py", text)


def make_specs(folder: Path, edits: Sequence[tuple[str, str]], variables: Mapping[str, str]) -> dict[Side, WorkerSpec]:
    """Workers of the library and of the library with some edits."""
    measure, scratch = folder / "measure", folder / "scratch"
    (measure / "benchmarks").mkdir(parents=True)
    scratch.mkdir()
    (measure / "pytest.ini").touch()
    shutil.copy(SUBJECT / "test_model.py", measure / "benchmarks")
    for side, planted in ((Side.BASELINE, ()), (Side.CANDIDATE, edits)):
        plant(folder / side, planted)
    return {
        side: WorkerSpec(
            side=side,
            python=sys.executable,
            own=str(folder / side),
            roots=("experiments",),
            folder=str(measure),
            configuration=str(measure / "pytest.ini"),
            scratch=str(scratch),
            variables={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(folder / side),
                "PYTHONHASHSEED": "0",
                "OMP_NUM_THREADS": "1",
                **variables,
            },
        )
        for side in Side
    }


def make_workloads(names: Sequence[str] = tuple(WORKLOADS)) -> list[Workload]:
    """The workloads, with the metrics that they gate."""
    workloads = []
    for name in names:
        place = f"benchmarks/test_model.py::{name}"
        metrics = tuple(
            Metric(workload=place, name=metric, kind=Kind.DETERMINISTIC, direction=Direction.LOWER, margin=0.0)
            for metric in WORKLOADS[name]
        )
        workloads.append(Workload(id=place, execution=ONCE, metrics=metrics))
    return workloads


def count(
    edits: Sequence[tuple[str, str]] = (),
    names: Sequence[str] = tuple(WORKLOADS),
    *,
    preload: Sequence[str] = PRELOADED,
    variables: Mapping[str, str] | None = None,
) -> tuple[Sequence[Finding], float]:
    """Judge the counts of the library with some edits against those of the library; return the seconds that it took.

    What is preloaded is imported before, as a gate can do once for all of its trials.
    """
    with tempfile.TemporaryDirectory() as scratch:
        specs = make_specs(Path(scratch).resolve(), edits, variables or {})
        workloads = make_workloads(names)
        with fork_servers(specs, preload, limit_s=IMPORT_SECONDS) as servers, ThreadPoolExecutor(2) as executor:
            start = time.monotonic()
            live = LiveWorkers({side: server.start for side, server in servers.items()})
            findings = Measurement(
                logs=make_logs(
                    [Assignment(workload=each) for each in workloads],
                    {each.id: derive_seeds("", "", each.id, 2) for each in workloads},
                ),
                settled=(),
                design=Design(num_gated=1),
                salt="",
                commit="",
                margin_of=lambda metric, _: metric.margin,
                measure=partial(run_pair, specs, live=live),
                measure_timed=partial(run_timed_pair, specs, live=live),
                executor=executor,
                num_at_once=2,
                trial_seconds=600.0,
                pair_seconds=1.0,
                fail_fast=False,
                deadline=float("inf"),
                observer=SilentObserver(),
            ).run()
        return findings, time.monotonic() - start


def outcome(planted: Planted, findings: Sequence[Finding], seconds: float) -> dict[str, Any]:
    """What one run said of one regression."""
    failed = {finding.metric.id: finding for finding in findings if finding.verdict is not Verdict.PASS}
    lines = [
        line
        for finding in failed.values()
        if finding.metric.name == planted.metric
        for line in finding.detail
        if line.startswith(f"added: {planted.named}") and "experiments/counted/model.py:" in line
    ]
    is_right = bool(lines) if planted.metric else not failed and not any(finding.detail for finding in findings)
    return {
        "what": planted.what,
        "metric": planted.metric,
        "is_as_expected": is_right,
        "named": lines[0] if lines else "",
        "other_metrics": sorted({finding.metric.name for finding in failed.values()} - {planted.metric}),
        "seconds": round(seconds, 1),
    }


def counts_here(variables: Mapping[str, str] | None = None) -> dict[str, float]:
    """The counts of the unchanged training in fresh interpreters with some environment variables."""
    findings, _ = count(names=["test_training"], preload=(), variables=variables)
    return {finding.metric.id.partition("::")[2]: finding.candidate_mean or 0.0 for finding in findings}


def compare_machines() -> dict[str, Any]:
    """Whether the counts are the same with other instructions and other numbers of threads."""
    usual = counts_here()
    others: dict[str, Mapping[str, str]] = {
        "least instruction set": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
        "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
        "4 threads": {"OMP_NUM_THREADS": "4"},
    }
    return {
        "counts": usual,
        "are_equal": {name: counts_here(variables) == usual for name, variables in others.items()},
    }


def document(facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], machines: Any) -> dict[str, Any]:
    """All that is known by now, with a summary, as it is kept."""
    regressions = [row for row in rows if row["metric"]]
    summary = {
        "num_planted": len(regressions),
        "num_named": sum(row["is_as_expected"] for row in regressions),
        "num_controls": len(rows) - len(regressions),
        "num_controls_unchanged": sum(row["is_as_expected"] for row in rows if not row["metric"]),
        "most_seconds": max(row["seconds"] for row in rows),
    }
    return {"provenance": facts, "summary": summary, "planted": rows, "machines": machines}


def kept(output: Path, commit: str) -> dict[str, Any]:
    """What an interrupted run at this commit has counted so far; figures of other code are not continued."""
    known = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    is_clean = bool(commit) and not commit.endswith("-dirty")
    return known if is_clean and known and known["provenance"]["commit"] == commit else {"planted": []}


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant everything, and write the results after each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    revision = commit()
    facts = {
        "command": "python -m experiments.torch_counts",
        "commit": revision,
        **versions("python"),
        "versions": versions("torch"),
        "machine": asdict(describe_machine()),
    }
    known = kept(options.output, revision)
    done = {row["what"]: row for row in known["planted"]}
    for planted in PLANTED:
        if planted.what not in done:
            findings, seconds = count(planted.edits)
            done[planted.what] = outcome(planted, findings, seconds)
            print(json.dumps(done[planted.what]), flush=True)
            write_results(options.output, document(facts, list(done.values()), known.get("machines")))
    machines = known.get("machines") or compare_machines()
    write_results(options.output, document(facts, list(done.values()), machines))
    return 0 if all(row["is_as_expected"] for row in done.values()) and all(machines["are_equal"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
