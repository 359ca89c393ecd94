from dataclasses import replace

import pytest

from mnist_reference.data.augment import Augmentation
from mnist_reference.errors import RecipeError, UnknownNameError
from mnist_reference.models.networks import PerceptronConfig
from mnist_reference.training.recipes import (
    RECIPES,
    article,
    cnn_99_5,
    digits,
    few_labels,
    recipe_by_name,
    recipe_for,
    with_settings,
)


def test_article_recipe_is_that_of_section_5_2():
    recipe = article()

    assert recipe.model == PerceptronConfig(hidden_widths=(128, 64))
    assert (recipe.optimizer, recipe.learning_rate) == ("adam", 0.001)
    assert (recipe.batch_size, recipe.num_epochs) == (64, 10)


def test_digits_recipe_differs_in_the_epochs_alone():
    assert replace(digits(), name="article", num_epochs=10) == article()


def test_recipe_for_few_labels_differs_in_the_epochs_alone():
    assert replace(few_labels(), name="article", num_epochs=10) == article()


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_carries_the_name_it_is_found_by(name):
    assert recipe_by_name(name).name == name


@pytest.mark.parametrize(("data_set", "name"), [("mnist", "article"), ("digits", "digits")])
def test_each_data_set_has_a_recipe(data_set, name):
    assert recipe_for(data_set).name == name


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean article"):
        recipe_by_name("artcle")


def test_settings_replace_values_of_every_type():
    settings = {
        "learning_rate": "0.01",
        "num_epochs": "3",
        "optimizer": "adamw",
        "model.hidden_widths": "64,32",
        "model.dropout": "0.2",
        "augmentation.shift_pixels": "2",
    }

    recipe = with_settings(article(), settings)

    assert recipe == replace(
        article(),
        learning_rate=0.01,
        num_epochs=3,
        optimizer="adamw",
        model=PerceptronConfig(hidden_widths=(64, 32), dropout=0.2),
        augmentation=Augmentation(shift_pixels=2),
    )


@pytest.mark.parametrize(
    ("setting", "value", "hint"),
    [
        pytest.param("learnig_rate", "1", "did you mean learning_rate?", id="setting"),
        pytest.param("model.hidden_width", "1", "did you mean hidden_widths?", id="setting-of-a-part"),
        pytest.param("model", "1", "known: model.hidden_widths", id="whole-part"),
        pytest.param("num_epochs.more", "1", "known: num_epochs", id="part-of-a-number"),
        pytest.param("architecture", "cnn", "known: ", id="architecture"),
        pytest.param("loss", "crossentropy", "did you mean cross_entropy?", id="loss"),
        pytest.param("optimizer", "adan", "did you mean adam?", id="optimizer"),
        pytest.param("schedule", "onecycle", "did you mean one_cycle?", id="schedule"),
        pytest.param("precision", "bfloat", "did you mean bfloat16?", id="precision"),
    ],
)
def test_unknown_setting_or_value_names_the_nearest(setting, value, hint):
    with pytest.raises(UnknownNameError) as refusal:
        with_settings(article(), {setting: value})

    assert hint in refusal.value.next_step


@pytest.mark.parametrize(
    ("setting", "value", "fact", "hint"),
    [
        ("learning_rate", "-1", "learning_rate is -1.0", "must be above 0"),
        ("learning_rate", "nan", "learning_rate is nan", "must be above 0"),
        ("learning_rate", "fast", "learning_rate is 'fast'", "float"),
        ("num_epochs", "1.5", "num_epochs is '1.5'", "int"),
        ("batch_size", "0", "batch_size is 0", "1 or more"),
        ("label_smoothing", "1.5", "label_smoothing is 1.5", "in [0, 1]"),
        ("l1_penalty", "-0.1", "l1_penalty is -0.1", "0 or more"),
        ("l2_penalty", "inf", "l2_penalty is inf", "0 or more"),
        ("validation_share", "1", "validation_share is 1.0", "in [0, 1)"),
        ("patience", "3", "patience is 3", "0 unless validation_share is above 0"),
        ("model.dropout", "1", "model.dropout is 1.0", "in [0, 1)"),
        ("model.hidden_widths", "64,x", "model.hidden_widths is '64,x'", "whole numbers"),
        ("model.hidden_widths", "64,0", "model widths is (784, 64, 0, 10)", "1 or more each"),
        ("augmentation.scaling", "1", "augmentation.scaling is 1.0", "in [0, 1)"),
    ],
)
def test_impossible_value_says_what_is_possible(setting, value, fact, hint):
    with pytest.raises(RecipeError) as refusal:
        with_settings(article(), {setting: value})

    assert refusal.value.fact == fact
    assert hint in refusal.value.next_step


@pytest.mark.parametrize("text", ["", ","])
def test_a_network_without_convolutions_is_refused(text):
    with pytest.raises(RecipeError) as refusal:
        with_settings(cnn_99_5(), {"model.channels": text})

    assert refusal.value.fact == "channels is ()"
    assert "one number or more" in refusal.value.next_step


def test_a_perceptron_without_hidden_layers_is_allowed():
    recipe = with_settings(article(), {"model.hidden_widths": ""})

    assert recipe.model.widths == (784, 10)
