"""Real faults of the reference model, gated on the embedded data set.

The changes stand in ``faults.toml``. What each costs was measured without the gate (``experiments/faults.py``, figures in
``docs/results/faults.json``), and the verdict that is expected follows from that figure.
All are slow: the small subject shows the same always, and CI gates the reference model itself.
"""

import json
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
CHANGES = {
    change["name"]: change
    for change in tomllib.loads((REPOSITORY / "experiments" / "faults.toml").read_text())["change"]
}
MEASURED = REPOSITORY / "docs" / "results" / "faults.json"

LEAK = "test-set-leaked"  # its verdict follows from the ceiling, not from a degradation


@pytest.fixture
def reference(clone_of_this_repository, tmp_path):
    """A clone of this very repository, set to the embedded data set and to accuracy alone in a commit of its own."""
    project = clone_of_this_repository
    (project.root / "benchmarks" / "test_performance.py").unlink()
    project.edit("pyproject.toml", '"mnist_reference", "fetch"]', '"mnist_reference", "fetch", "--data", "digits"]')
    project.commit("use digits")
    project.git("remote", "remove", "origin")  # what is gated is compared with this commit
    return project


def preload_torch(project):
    """Fork the workers from servers that hold PyTorch, so that not every trial imports it."""
    project.edit("pyproject.toml", "[tool.mainstay]\n", '[tool.mainstay]\npreload = ["torch"]\n')
    project.commit("preload PyTorch")


def apply(project, change):
    for edit in change["edits"]:
        project.edit(f"src/mnist_reference/{edit['file']}", edit["find"], edit["replace"])


ANY = {"pass", "inconclusive", "fail"}


def allowed_verdicts(name):
    """By metric, the verdicts that the measured degradation of a change allows."""
    rows = {row["change"]: row for row in json.loads(MEASURED.read_text())["digits"]["changes"]}
    return {metric: _allowed(facts) for metric, facts in rows[name]["metrics"].items()}


def _allowed(facts):
    if facts["expected"] == "fail" and facts["mean_degradation"] < 2 * facts["margin"]:
        return {"fail", "inconclusive"}
    return {"pass": {"pass"}, "fail": {"fail"}, "not fail": {"pass", "inconclusive"}}.get(facts["expected"], ANY)


def test_an_accuracy_of_one_from_a_leaked_test_set_is_implausible(reference):
    apply(reference, CHANGES[LEAK])

    result = reference.gate()

    (top1,) = (finding for finding in result.run["findings"] if finding["metric"]["name"] == "top1_accuracy")
    assert (result.status, top1["verdict"]) == (1, "error")
    assert "implausible" in top1["reason"]


@pytest.mark.parametrize("name", [name for name in CHANGES if name != LEAK])
def test_the_verdict_follows_from_the_measured_degradation(reference, name):
    change = CHANGES[name]
    if not change.get("exact"):  # those few trials are made by fresh interpreters
        preload_torch(reference)
    apply(reference, change)

    result = reference.gate()

    verdicts = {finding["metric"]["name"]: finding["verdict"] for finding in result.run["findings"]}
    assert result.run["workloads"][0]["context"]["dataset"] == "digits"
    for metric, allowed in allowed_verdicts(name).items():
        assert verdicts[metric] in allowed, result.stdout
    if change.get("exact"):
        assert {finding["method"] for finding in result.run["findings"]} == {"exact"}


def test_a_margin_that_digits_cannot_resolve_is_inconclusive(reference):
    preload_torch(reference)
    reference.edit("pyproject.toml", "top1_accuracy = 0.012", "top1_accuracy = 0.0005")
    reference.write(
        "pyproject.toml",
        (reference.root / "pyproject.toml").read_text().replace("[tool.mainstay]", "[tool.mainstay]\nlooks = [3]"),
    )
    reference.commit("a margin below the noise")
    apply(reference, CHANGES["other-initialisation"])

    result = reference.gate()

    assert result.status == 3
    verdicts = {finding["metric"]["name"]: finding["verdict"] for finding in result.run["findings"]}
    assert verdicts["top1_accuracy"] == "inconclusive"


def test_a_loss_that_is_nan_is_an_error(reference):
    preload_torch(reference)
    reference.edit(
        "src/mnist_reference/training/train.py",
        "        loss = loss_function(forward(batch.inputs), batch.labels)\n",
        "        loss = loss_function(forward(batch.inputs), batch.labels) * float('nan')\n",
    )

    result = reference.gate()

    assert result.status == 1
    assert {finding["verdict"] for finding in result.run["findings"]} == {"error"}
