import torch

from mnist_reference.models.ensemble import averaged, predict_by_ensemble
from mnist_reference.models.evaluate import negative_log_likelihood, predict
from mnist_reference.models.networks import PerceptronConfig, initialised


def test_ensemble_says_the_mean_of_the_probabilities():
    logits = torch.randn(3, 7, 10, generator=torch.Generator().manual_seed(0)) * 5

    torch.testing.assert_close(averaged(logits).softmax(1), logits.softmax(2).mean(0))


def test_huge_logits_stay_finite():
    logits = torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]]])

    torch.testing.assert_close(averaged(logits).exp(), torch.tensor([[0.5, 0.5]]))


def test_ensemble_of_one_is_its_member(perceptron, digits_data):
    images = digits_data.test.images[:20]

    torch.testing.assert_close(
        predict_by_ensemble([perceptron], images).softmax(1), predict(perceptron, images).softmax(1)
    )


def test_ensemble_is_no_worse_than_its_members_on_average(digits_data):
    """By Jensen's inequality, for any models and data."""
    members = [initialised(PerceptronConfig(), seed=seed) for seed in range(3)]
    images, labels = digits_data.test.images, digits_data.test.labels

    together = negative_log_likelihood(predict_by_ensemble(members, images), labels)

    alone = [negative_log_likelihood(predict(member, images), labels) for member in members]
    assert together <= sum(alone) / len(alone)
