"""The bills of materials say what the code says; the self-assessment points at what exists."""

import json
import re
import subprocess

import pytest

from mnist_reference.data import datasets
from mnist_reference.models import networks
from mnist_reference.training import recipes


@pytest.fixture(scope="module")
def model_bom(script):
    return script("model_bom")


@pytest.fixture(scope="module")
def bill(model_bom, root):
    return model_bom.model_bom("1.2.3", json.loads((root / "docs" / "results" / "faults.json").read_text()))


def test_bill_of_the_model_describes_the_model_that_the_recipe_trains(model_bom):
    model = networks.initialised(recipes.article().model, seed=0)

    assert model_bom.num_parameters(model_bom.LAYER_WIDTHS) == sum(each.numel() for each in model.parameters())


def test_bill_of_the_model_pins_the_data_as_the_code_does(model_bom):
    assert model_bom.MNIST_SHA256 == datasets.MNIST_SHA256


def test_every_reference_of_the_bill_names_a_part_of_it(bill):
    parts = {bill["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in bill["components"])}
    (model,) = (each for each in bill["components"] if each["type"] == "machine-learning-model")
    named = {each["ref"] for each in model["modelCard"]["modelParameters"]["datasets"]}
    named |= {name for row in bill["dependencies"] for name in [row["ref"], *row.get("dependsOn", [])]}

    assert named == parts


def test_figures_of_the_bill_are_those_measured(bill, root):
    measured = json.loads((root / "docs" / "results" / "faults.json").read_text())["mnist"]["unmodified"]
    metrics = bill["components"][0]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]

    assert float(metrics[0]["value"]) == pytest.approx(measured["top1_accuracy"]["mean"], rel=1e-5)


@pytest.fixture(scope="module")
def controls(root):
    page = (root / "docs" / "explanation" / "security-self-assessment.md").read_text()
    return re.findall(r"^\| (OSPS-\S+) \| .+? \| (.+?) \| (.+) \|$", page, re.MULTILINE)


def test_no_control_is_missing_or_assessed_twice(controls):
    identifiers = [identifier for identifier, _, _ in controls]

    assert len(identifiers) == len(set(identifiers)) == 64  # of the version that the page names


def test_every_control_that_is_met_has_evidence_that_exists(controls, root):
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split()
    for identifier, state, evidence in controls:
        named = re.findall(r"`([^`]+)`", evidence)
        files = [name for name in named if "/" in name or re.search(r"\.(md|toml|py|yaml)$", name)]
        assert all(any(file == name or file.startswith(f"{name}/") for file in tracked) for name in files), identifier
        assert evidence.strip(), identifier
        assert state.removesuffix(" for workflows") in {"met", "setting", "**not met**"}, identifier
