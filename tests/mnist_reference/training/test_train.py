import hashlib
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from mnist_reference.data.augment import Augmentation
from mnist_reference.data.datasets import Split, held_out
from mnist_reference.errors import DataError, DivergenceError
from mnist_reference.models.evaluate import predict
from mnist_reference.models.networks import CnnConfig, PerceptronConfig, initialised
from mnist_reference.seeding import generator
from mnist_reference.training.recipes import digits, regression
from mnist_reference.training.train import TrainingState, score, train
from mnist_reference.using.checkpoint import load_training_state, save_training_state

SHORT = replace(digits(), num_epochs=2)

STOPPING = replace(digits(), num_epochs=60, learning_rate=0.01, validation_share=0.2, patience=3)

EVERYTHING = replace(
    SHORT,
    model=CnnConfig(channels=(2, 3, 4, 4), dropout=0.1),
    label_smoothing=0.1,
    l1_penalty=1e-5,
    l2_penalty=1e-4,
    optimizer="adamw",
    learning_rate=0.01,
    schedule="one_cycle",
    num_epochs=5,
    augmentation=Augmentation(rotation_degrees=10, scaling=0.1, shift_pixels=2),
    validation_share=0.2,
    patience=4,
)

LIVE_SEED = 0
"""The article's one ReLU neuron is born dead for half of all seeds; this one is not."""

TRAIN_AND_PRINT_DIGEST = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from mnist_reference.data import datasets
from mnist_reference.models import networks
from mnist_reference.training import recipes, train
torch.set_num_threads(1)
recipe = replace(recipes.digits(), num_epochs=2)
perceptron = networks.initialised(recipe.model, seed=5)
list(train.train(perceptron, datasets.load("digits", root=Path(sys.argv[1])).train, recipe, seed=5))
import hashlib
print(hashlib.sha256(b"".join(value.numpy().tobytes() for value in perceptron.state_dict().values())).hexdigest())
"""


def trained(split, recipe=SHORT, *, seed, test=None):
    model = initialised(recipe.model, seed=seed)
    return model, list(train(model, split, recipe, seed=seed, test=test))


@pytest.fixture(scope="module")
def few(digits_data):
    return digits_data.train.at(torch.arange(300))


def digest(model):
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in model.state_dict().values())).hexdigest()


def test_same_seed_gives_the_same_bits_whatever_the_global_state(digits_data):
    first, _ = trained(digits_data.train, seed=5)
    torch.manual_seed(99)
    again, _ = trained(digits_data.train, seed=5)

    assert digest(first) == digest(again)


@pytest.mark.slow
def test_same_seed_gives_the_same_bits_in_another_process(digits_data, data_root):
    command = [sys.executable, "-c", TRAIN_AND_PRINT_DIGEST, str(data_root)]
    elsewhere = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    model, _ = trained(digits_data.train, seed=5)

    assert digest(model) == elsewhere


def test_other_seeds_give_other_bits(digits_data):
    assert len({digest(trained(digits_data.train, seed=seed)[0]) for seed in range(3)}) == 3


def test_scoring_between_epochs_does_not_change_the_training(digits_data):
    silent, _ = trained(digits_data.train, seed=1)
    scored, history = trained(digits_data.train, seed=1, test=digits_data.test)

    assert digest(silent) == digest(scored)
    assert [record.test is not None for record in history] == [True, True]


def test_loop_equals_the_textbook_loop(digits_data):
    model, history = trained(digits_data.train, seed=2)

    plain = initialised(SHORT.model, seed=2)
    optimizer = torch.optim.Adam(plain.parameters(), lr=SHORT.learning_rate, fused=True)
    order_of = generator(2, "shuffling")
    images, labels = digits_data.train.images.float() / 255, digits_data.train.labels
    losses = []
    for _ in range(SHORT.num_epochs):
        losses.clear()
        for batch in torch.randperm(len(labels), generator=order_of).split(SHORT.batch_size):
            loss = functional.cross_entropy(plain(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    assert digest(model) == digest(plain)
    assert history[-1].train_loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)


@pytest.fixture(scope="module")
def of_digits(digits_data):
    """A model trained on the digits as they are by default, and how its epochs went."""
    return trained(digits_data.train, digits(), seed=0, test=digits_data.test)


def test_digits_are_learned(of_digits):
    _, history = of_digits

    assert [record.epoch for record in history] == list(range(1, 41))
    assert history[-1].test.top1_accuracy > 0.94
    assert history[-1].train_loss < 0.05 < history[0].train_loss


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed) for seed in (1, 2))])
def test_regression_recovers_the_absolute_value(seed):
    wide = PerceptronConfig(num_inputs=1, hidden_widths=(16,), num_outputs=1)
    recipe = replace(regression(), model=wide, learning_rate=0.05)
    inputs = torch.linspace(-2, 2, 256).unsqueeze(1)

    model, history = trained(Split(images=inputs, labels=inputs.abs()), recipe, seed=seed)

    assert history[-1].train_loss < 5e-4
    assert (model(inputs) - inputs.abs()).abs().mean() < 0.02


@pytest.mark.slow
def test_regression_of_the_article_recovers_a_line():
    inputs = torch.linspace(0, 2, 256).unsqueeze(1)

    model, _ = trained(Split(images=inputs, labels=3 * inputs + 2), regression(), seed=LIVE_SEED)

    torch.testing.assert_close(model(torch.tensor([[1.0]])), torch.tensor([[5.0]]), rtol=0, atol=0.02)


@pytest.mark.slow
def test_label_smoothing_keeps_probabilities_from_the_corners(digits_data, of_digits):
    plain, _ = of_digits
    smoothed, _ = trained(digits_data.train, replace(digits(), label_smoothing=0.2), seed=0)

    surest = [predict(model, digits_data.train.images).softmax(1).max(1).values.mean() for model in (plain, smoothed)]

    assert surest[0] > 0.95
    assert surest[1] == pytest.approx(0.8 + 0.2 / 10, abs=0.04)  # what smoothing by 0.2 asks for


def test_classes_are_learned_by_squared_error_too(digits_data):
    recipe = replace(digits(), num_epochs=10, loss="mean_squared_error")

    _, history = trained(digits_data.train, recipe, seed=0, test=digits_data.test)

    assert history[-1].test.top1_accuracy > 0.9


def test_loss_that_is_not_finite_stops_with_step_and_last_loss(digits_data):
    recipe = replace(SHORT, optimizer="sgd", learning_rate=1e6)

    with pytest.raises(DivergenceError, match=r"the loss is \S+ at step \d+ of epoch 1; the loss before was") as stop:
        trained(digits_data.train, recipe, seed=0)

    assert stop.value.next_step == "try a smaller learning rate"


@pytest.mark.parametrize("learning_rate", [1e30, 1e38], ids=["answers", "weights"])
def test_a_last_step_into_the_void_stops_too(digits_data, learning_rate):
    """One step an epoch, whose loss is taken before it."""
    recipe = replace(SHORT, optimizer="sgd", learning_rate=learning_rate, batch_size=2000, num_epochs=1)
    state = TrainingState()
    model = initialised(recipe.model, seed=0)

    with pytest.raises(DivergenceError, match=r"(inf|nan) (for class|after epoch 1)") as stop:
        list(train(model, digits_data.train, recipe, seed=0, test=digits_data.test, state=state))

    assert "smaller learning rate" in stop.value.next_step
    assert not state.records


def test_images_that_the_model_does_not_compute_in_are_refused(few):
    numbers = Split(images=few.images.double() / 255, labels=few.labels)

    with pytest.raises(DataError, match="the images are float64"):
        list(train(initialised(SHORT.model, seed=0), numbers, SHORT, seed=0))


def test_images_that_were_not_scaled_are_refused(few):
    with pytest.raises(DataError, match="pixels lie between 0 and 255"):
        Split(images=few.images.float(), labels=few.labels)


def test_label_outside_the_classes_stops_before_the_first_step(digits_data):
    labels = digits_data.train.labels.clone()
    labels[7] = 10
    model = initialised(SHORT.model, seed=0)
    before = digest(model)

    with pytest.raises(DataError, match="label 10 of example 7"):
        list(train(model, Split(images=digits_data.train.images, labels=labels), SHORT, seed=0))

    assert digest(model) == before


def test_held_out_examples_are_not_learned_from(few):
    recipe = replace(SHORT, validation_share=0.2)

    validated, history = trained(few, recipe, seed=3)

    rest, validation = held_out(few, 0.2, seed=3)
    assert digest(validated) == digest(trained(rest, seed=3)[0])
    assert history[-1].validation == score(validated, validation)


def test_training_stops_early_with_its_best_weights(few):
    model, history = trained(few, STOPPING, seed=0)

    losses = [record.validation.negative_log_likelihood for record in history]
    _, validation = held_out(few, 0.2, seed=0)
    assert len(history) == losses.index(min(losses)) + 1 + STOPPING.patience < STOPPING.num_epochs
    assert score(model, validation).negative_log_likelihood == min(losses)


def test_early_stopping_never_looks_at_the_test_split(few, digits_data):
    images, labels = digits_data.test.images, digits_data.test.labels
    wrong = Split(images=images, labels=(labels + 1) % 10)

    honest, history = trained(few, STOPPING, seed=1, test=digits_data.test)
    misled, same_history = trained(few, STOPPING, seed=1, test=wrong)

    assert digest(honest) == digest(misled)
    assert len(history) == len(same_history)


def test_last_weights_are_kept_where_the_best_came_last(few):
    recipe = replace(SHORT, validation_share=0.2, patience=1)

    model, history = trained(few, recipe, seed=0)

    assert len(history) == 2
    assert digest(model) == digest(trained(few, replace(recipe, patience=0), seed=0)[0])


@pytest.mark.parametrize(
    ("changes", "labels", "message"),
    [
        pytest.param({"loss": "distillation"}, "classes", "wants a teacher's logits", id="distillation-of-classes"),
        pytest.param({"validation_share": 0.2}, "numbers", "cannot be scored", id="validation-on-numbers"),
        pytest.param({"loss": "mean_squared_error"}, "tested", "test examples cannot be scored", id="test-on-numbers"),
    ],
)
def test_labels_that_a_recipe_cannot_take_are_refused(few, changes, labels, message):
    numbers = Split(images=few.images, labels=torch.rand(len(few.labels), 10))
    learned, tested = {"classes": (few, None), "numbers": (numbers, None), "tested": (few, numbers)}[labels]
    recipe = replace(SHORT, **changes)

    with pytest.raises(DataError, match=message):
        list(train(initialised(recipe.model, seed=0), learned, recipe, seed=0, test=tested))


@pytest.mark.parametrize("recipe", [replace(SHORT, l1_penalty=0.01), replace(SHORT, l2_penalty=0.01)], ids=["l1", "l2"])
def test_penalty_makes_weights_smaller_and_leaves_biases(few, recipe):
    plain, penalised = (trained(few, each, seed=0)[0] for each in (SHORT, recipe))

    size = {name: parameter.abs().mean() for name, parameter in plain.named_parameters()}
    for name, parameter in penalised.named_parameters():
        if name.endswith("weight"):
            assert parameter.abs().mean() < size[name]
        else:
            assert parameter.abs().mean() > 0.5 * size[name]


def test_everything_at_once_repeats_its_bits_whatever_the_global_state(few):
    first, _ = trained(few, EVERYTHING, seed=5)
    torch.manual_seed(99)
    again, _ = trained(few, EVERYTHING, seed=5)

    assert digest(first) == digest(again)


@pytest.mark.parametrize(
    "change",
    [
        {"augmentation": Augmentation(shift_pixels=1)},
        {"model": PerceptronConfig(dropout=0.1)},
        {"schedule": "one_cycle"},
    ],
    ids=["augmentation", "dropout", "schedule"],
)
def test_each_part_changes_the_training(few, change):
    assert digest(trained(few, seed=0)[0]) != digest(trained(few, replace(SHORT, **change), seed=0)[0])


@pytest.mark.parametrize("recipe", [replace(SHORT, num_epochs=4), EVERYTHING], ids=["article", "everything"])
@pytest.mark.parametrize("num_done", [1, 3])
def test_interrupted_training_goes_on_with_the_same_bits(few, tmp_path, recipe, num_done):
    origin: dict[str, Any] = {"recipe": recipe, "seed": 2, "data_sha256": "ab"}
    undisturbed, history = trained(few, recipe, seed=2)
    state = TrainingState()
    interrupted = train(initialised(recipe.model, seed=2), few, recipe, seed=2, state=state)
    for _ in range(num_done):
        next(interrupted)
    save_training_state(tmp_path / "state", state, **origin)
    interrupted.close()

    resumed = initialised(recipe.model, seed=999)
    state = load_training_state(tmp_path / "state", **origin)
    rest = list(train(resumed, few, recipe, seed=2, state=state))

    assert digest(resumed) == digest(undisturbed)
    assert [record.train_loss for record in state.records] == [record.train_loss for record in history]
    assert state.records[num_done:] == rest


def test_finished_training_is_not_gone_on_with(few):
    state = TrainingState()
    model = initialised(STOPPING.model, seed=0)
    list(train(model, few, STOPPING, seed=0, state=state))
    before = digest(model)

    assert list(train(model, few, STOPPING, seed=0, state=state)) == []
    assert digest(model) == before


def test_mixed_precision_learns_the_same_to_three_digits(few):
    plain, mixed = (trained(few, replace(SHORT, precision=precision), seed=0) for precision in ("float32", "bfloat16"))

    assert digest(plain[0]) != digest(mixed[0])
    assert mixed[1][-1].train_loss == pytest.approx(plain[1][-1].train_loss, rel=0.02)
    assert {parameter.dtype for parameter in mixed[0].parameters()} == {torch.float32}


@pytest.mark.slow
def test_compiled_training_learns_the_same(few):
    plain, _ = trained(few, EVERYTHING, seed=0)
    model = initialised(EVERYTHING.model, seed=0)

    list(train(model, few, EVERYTHING, seed=0, compiler="inductor"))

    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_model_is_compiled_by_the_backend_that_is_named(few):
    calls = []

    def counting(graph, example_inputs):
        calls.append(len(example_inputs))
        return graph.forward

    model = initialised(SHORT.model, seed=0)
    list(train(model, few, SHORT, seed=0, compiler=counting))

    assert calls
    assert digest(model) == digest(trained(few, seed=0)[0])


def test_fewer_examples_than_a_batch_are_one_step(digits_data):
    model, history = trained(digits_data.train.at(torch.arange(5)), seed=0)

    assert history[0].train_loss == pytest.approx(2.3, abs=0.2)
    assert digest(model) != digest(initialised(SHORT.model, seed=0))
