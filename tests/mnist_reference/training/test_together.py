from dataclasses import replace

import pytest
import torch

from mnist_reference.data.datasets import Split
from mnist_reference.errors import DivergenceError
from mnist_reference.models.networks import PerceptronConfig, initialised
from mnist_reference.training.recipes import digits
from mnist_reference.training.together import train_together
from mnist_reference.training.train import train
from mnist_reference.using.checkpoint import load_checkpoint, save_checkpoint

SEEDS = (4, 7, 8)
RECIPE = replace(digits(), num_epochs=2, model=PerceptronConfig(hidden_widths=(16,)))


@pytest.fixture(scope="module")
def split():
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (150, 28, 28), generator=stream, dtype=torch.uint8)
    return Split(images=images, labels=torch.randint(0, 10, (150,), generator=stream))


def trained_together(split, recipe, **options):
    models = [initialised(recipe.model, seed=seed) for seed in SEEDS]
    return models, list(train_together(models, split, recipe, seeds=SEEDS, **options))


@pytest.mark.parametrize("change", [{}, {"schedule": "one_cycle"}], ids=["constant", "one-cycle"])
def test_members_are_what_they_are_alone_but_for_rounding(split, change):
    recipe = replace(RECIPE, **change)

    models, history = trained_together(split, recipe, test=split)

    for member, seed in enumerate(SEEDS):
        alone = initialised(recipe.model, seed=seed)
        records = list(train(alone, split, recipe, seed=seed, test=split))
        for parameter, expected in zip(models[member].parameters(), alone.parameters(), strict=True):
            # not each weight: one whose gradient is zero but for rounding is moved by Adam one way or the other
            assert (parameter - expected).norm() <= 1e-2 * expected.norm()
        for record, other in zip([epoch[member] for epoch in history], records, strict=True):
            assert record.train_loss == pytest.approx(other.train_loss, rel=1e-4)
            assert record.learning_rate == other.learning_rate
            assert record.test.negative_log_likelihood == pytest.approx(other.test.negative_log_likelihood, rel=1e-4)


def test_members_of_a_recipe_without_a_faster_way_have_the_bits_that_they_have_alone(split):
    recipe = replace(RECIPE, label_smoothing=0.1)

    models, history = trained_together(split, recipe, test=split)

    for member, seed in enumerate(SEEDS):
        alone = initialised(recipe.model, seed=seed)
        records = list(train(alone, split, recipe, seed=seed, test=split))
        assert all(map(torch.equal, models[member].parameters(), alone.parameters()))
        assert [replace(records[member], train_time_s=0) for records in history] == [
            replace(record, train_time_s=0) for record in records
        ]


def test_members_stop_early_each_at_its_own_epoch(split):
    recipe = replace(RECIPE, num_epochs=30, learning_rate=0.01, validation_share=0.3, patience=1)

    models, history = trained_together(split, recipe)

    num_epochs = []
    for member, seed in enumerate(SEEDS):
        alone = initialised(recipe.model, seed=seed)
        records = list(train(alone, split, recipe, seed=seed))
        num_epochs.append(len(records))
        assert all(map(torch.equal, models[member].parameters(), alone.parameters()))
        epochs = [each[member].epoch for each in history]
        assert epochs == [*range(1, len(records) + 1), *[len(records)] * (len(history) - len(records))]
    assert len(history) == max(num_epochs) > min(num_epochs)


def test_a_member_can_be_saved(split, provenance, tmp_path):
    models, _ = trained_together(split, RECIPE)

    save_checkpoint(tmp_path / "member", models[1], replace(provenance, recipe=RECIPE))

    loaded, _ = load_checkpoint(tmp_path / "member")
    assert all(map(torch.equal, models[1].parameters(), loaded.parameters()))


def test_one_member_that_diverges_stops_all(split):
    models = [initialised(RECIPE.model, seed=seed) for seed in SEEDS]
    with torch.no_grad():
        next(models[2].parameters()).fill_(float("nan"))

    with pytest.raises(DivergenceError, match="the loss is nan at step 1 of epoch 1"):
        list(train_together(models, split, RECIPE, seeds=SEEDS))
