import ast
import json
import shutil

import pytest

from experiments import faults

CHANGES = {change["name"]: change for change in faults.load_changes()}


@pytest.mark.parametrize("name", CHANGES)
def test_change_applies_to_the_model_as_it_is(name, tmp_path):
    package = tmp_path / "mnist_reference"
    shutil.copytree(faults.PACKAGE, package)

    faults.apply_change(CHANGES[name], package)

    edited = {edit["file"] for edit in CHANGES[name]["edits"]}
    for file in edited:
        source = (package / file).read_text("utf-8")
        assert source != (faults.PACKAGE / file).read_text("utf-8")
        ast.parse(source)


def test_change_that_does_not_apply_is_refused(tmp_path):
    (tmp_path / "model.py").write_text("width = 1\nwidth = 1\n")
    change = {"name": "width", "edits": [{"file": "model.py", "find": "width = 1", "replace": "width = 2"}]}

    with pytest.raises(ValueError, match="occurs 2 times"):
        faults.apply_change(change, tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "deviation", "expected"),
    [
        pytest.param(0.003, 0.005, 0.001, "fail", id="surely-beyond-the-margin"),
        pytest.param(-0.001, 0.001, 0.0008, "pass", id="surely-within-a-supported-margin"),
        pytest.param(-0.001, 0.001, 0.0009, "not fail", id="surely-within-an-unsupported-margin"),
        pytest.param(0.001, 0.003, 0.0001, "open", id="on-either-side"),
    ],
)
def test_expected_verdict_follows_from_the_interval(low, high, deviation, expected):
    assert faults.expected_verdict(low, high, margin=0.002, deviation=deviation) == expected


@pytest.mark.parametrize("data_set", ["digits", "mnist"])
def test_committed_results_cover_every_change(data_set):
    results = json.loads(faults.RESULTS.read_text("utf-8"))[data_set]

    measured = [row["change"] for row in results["changes"]]

    assert measured == [name for name, change in CHANGES.items() if data_set in change.get("data_sets", [data_set])]
    assert len(results["seeds"]) >= 8
    assert "dirty" not in results["commit"]
