from dataclasses import replace

import pytest
import torch
from statsmodels.stats.proportion import proportion_confint

from mnist_reference.models.evaluate import negative_log_likelihood, predict, top1_accuracy
from mnist_reference.using.model_card import measured_card, render_model_card


@pytest.fixture
def card(perceptron, provenance, digits_data):
    return measured_card(perceptron, replace(provenance, data_sha256=digits_data.sha256), digits_data)


def rows(text, heading):
    """Cells of the table under a heading, its head left out."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]


def test_figures_are_measured_on_the_test_split_and_not_those_of_the_checkpoint(card, perceptron, digits_data):
    logits = predict(perceptron, digits_data.test.images)

    assert card.num_examples == 360
    assert card.top1_accuracy == top1_accuracy(logits, digits_data.test.labels) != card.provenance.top1_accuracy
    assert card.negative_log_likelihood == negative_log_likelihood(logits, digits_data.test.labels)
    assert sum(map(sum, card.confusion)) == 360


def test_interval_is_wilsons(card):
    successes = round(card.top1_accuracy * card.num_examples)

    assert card.accuracy_interval == pytest.approx(proportion_confint(successes, 360, method="wilson"))


def test_card_shows_the_measured_figures(card):
    measured = dict(row for row in rows(render_model_card(card), "Measured") if len(row) == 2)

    low, high = card.accuracy_interval
    assert measured["top-1 accuracy"] == f"{card.top1_accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}, Wilson)"
    assert measured["negative log-likelihood"] == f"{card.negative_log_likelihood:.4f} nat"
    assert measured["expected calibration error"] == f"{card.calibration_error:.4f}"


def test_card_names_what_each_digit_is_misread_as(card):
    confusion = [[10 if row == column else 0 for column in range(10)] for row in range(10)]
    confusion[3][5], confusion[3][8], confusion[4][9], confusion[7] = 2, 2, 1, [0] * 10

    text = render_model_card(replace(card, confusion=tuple(map(tuple, confusion))))

    digits = {row[0]: row[1:] for row in rows(text, "Measured") if len(row) == 4}
    assert digits["0"] == ["10", "1.0000", "-"]
    assert digits["3"] == ["14", "0.7143", "5, 8 (2)"]
    assert digits["4"] == ["11", "0.9091", "9 (1)"]
    assert digits["7"] == ["0", "-", "-"]


def test_card_says_how_the_model_was_made(card, provenance, digits_data):
    made = dict(rows(render_model_card(card), "Made by"))

    assert made["recipe"].startswith("digits: loss cross_entropy")
    assert (made["seed"], made["data"]) == ("7", f"digits, SHA-256 {digits_data.sha256}")
    assert made["source"] == f"commit {provenance.revision}"


def test_card_says_when_it_was_measured_on_other_data(card, perceptron, provenance, digits_data):
    other = measured_card(perceptron, provenance, digits_data)

    assert "It was trained on other data" in render_model_card(other)
    assert "It was trained on other data" not in render_model_card(card)


def test_unknown_source_is_said_to_be_unknown(card):
    text = render_model_card(replace(card, provenance=replace(card.provenance, revision=None)))

    assert dict(rows(text, "Made by"))["source"] == "not known"


def test_measuring_leaves_the_model_as_it_was(perceptron, provenance, digits_data):
    before = [value.clone() for value in perceptron.state_dict().values()]

    measured_card(perceptron, provenance, digits_data)

    assert all(map(torch.equal, perceptron.state_dict().values(), before))
