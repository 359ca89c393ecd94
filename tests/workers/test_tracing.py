"""Traced runs in real processes."""

import os
import time

import pytest

from mainstay.records.trials import Side
from mainstay.workers.tracing import trace_workloads

WORKLOAD = "benchmarks/test_w.py::test_a"


@pytest.fixture
def trace(make_specs, tmp_path):
    """Trace a workload that calls a function of the tree, where a plugin of pytest executes some code first."""
    own, plugins = tmp_path / "own", tmp_path / "plugins"
    variables = {"PYTHONPATH": f"{own}{os.pathsep}{plugins}", "PYTEST_PLUGINS": "eager"}
    spec = make_specs("[pytest]\n", **variables)[Side.BASELINE]
    (own / "subject").mkdir(parents=True)
    (own / "subject/__init__.py").write_text("")
    (own / "subject/model.py").write_text("def run():\n    return 1\n")
    (own / "_virtualenv.py").write_text("")
    (tmp_path / "measure" / "benchmarks" / "test_w.py").write_text(
        "import subject.model\n\n\ndef test_a(counts):\n    counts.record(a=subject.model.run())\n"
    )
    plugins.mkdir()

    def trace(plugin):
        (plugins / "eager.py").write_text(plugin)
        return trace_workloads(spec, {WORKLOAD: [1]}, frozenset(), limit_s=600.0, deadline=time.monotonic() + 6000.0)

    return trace


@pytest.mark.parametrize(
    ("plugin", "imported"),
    [
        pytest.param("import subject", ["subject"], id="package", marks=pytest.mark.slow),
        pytest.param("from subject.model import run", ["subject", "subject.model"], id="module"),
        pytest.param("import json", [], id="none-of-the-tree"),
        pytest.param("import _virtualenv", [], id="one-of-every-environment", marks=pytest.mark.slow),
    ],
)
def test_nobody_can_tell_what_modules_did_that_a_plugin_imported_before_the_trace(trace, plugin, imported):
    traced = trace(plugin)

    assert traced.collection["unknown"] == [f"{name} was imported before the trace" for name in imported]
    assert traced.workloads[WORKLOAD]["unknown"] == []
    assert "subject/model.py::run" in traced.executed
