import math

import pytest
import torch

from mnist_reference.errors import UnknownNameError
from mnist_reference.training.losses import cross_entropy, distillation, loss_by_name, mean_squared_error, penalised

LOGITS = torch.tensor([[math.log(0.7), math.log(0.2), math.log(0.1)], [math.log(0.25), math.log(0.5), math.log(0.25)]])
LABELS = torch.tensor([0, 2])


def test_cross_entropy_of_worked_probabilities():
    expected = -(math.log(0.7) + math.log(0.25)) / 2

    assert cross_entropy(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-6)


def test_label_smoothing_of_worked_probabilities():
    true_share, other_share = 0.7 + 0.3 / 3, 0.3 / 3
    first = -(true_share * math.log(0.7) + other_share * math.log(0.2) + other_share * math.log(0.1))
    second = -(true_share * math.log(0.25) + other_share * math.log(0.25) + other_share * math.log(0.5))

    smoothed = cross_entropy(LOGITS, LABELS, label_smoothing=0.3)

    assert smoothed.item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_mean_squared_error_of_worked_numbers():
    outputs, targets = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 5.0]])

    assert mean_squared_error(outputs, targets).item() == pytest.approx((0 + 4 + 9 + 1) / 4)


def test_mean_squared_error_of_classes_takes_them_as_one_hot():
    outputs = torch.tensor([[0.5, 0.5, 0.0]])

    assert mean_squared_error(outputs, torch.tensor([1])).item() == pytest.approx((0.25 + 0.25 + 0) / 3)


def test_distillation_of_worked_probabilities():
    teacher = torch.tensor([[math.log(0.9**4), math.log(0.1**4)]])  # at temperature 4: 0.9 and 0.1
    student = torch.tensor([[math.log(0.6**4), math.log(0.4**4)]])
    expected = 16 * (0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4))

    assert distillation(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_gradient_of_distillation_is_that_of_matching_logits_at_a_high_temperature():
    """Hinton et al., equation 4: for logits small beside the temperature, (student - teacher) / classes."""
    teacher = torch.tensor([[0.01, -0.01, 0.0]])
    student = torch.tensor([[0.02, -0.03, 0.01]], requires_grad=True)

    distillation(student, teacher).backward()

    torch.testing.assert_close(student.grad, (student.detach() - teacher) / 3, rtol=0, atol=1e-4)


def test_loss_by_name_passes_the_smoothing_on():
    smoothed = loss_by_name("cross_entropy", label_smoothing=0.3)

    assert torch.equal(smoothed(LOGITS, LABELS), cross_entropy(LOGITS, LABELS, label_smoothing=0.3))


def test_loss_by_name_knows_distillation():
    assert torch.equal(loss_by_name("distillation")(LOGITS, LOGITS.flip(0)), distillation(LOGITS, LOGITS.flip(0)))


def test_unknown_loss_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean cross_entropy"):
        loss_by_name("crossentropy")


def test_penalties_equal_their_formulas_and_gradients():
    weight = torch.tensor([[0.5, -2.0], [0.0, 3.0]], requires_grad=True)
    loss = penalised(lambda outputs, targets: outputs.sum() * 0, [weight], l1=0.1, l2=0.01)

    value = loss(LOGITS, LABELS)
    value.backward()

    assert value.item() == pytest.approx(0.1 * (0.5 + 2 + 3) + 0.01 * (0.25 + 4 + 9), rel=1e-6)
    torch.testing.assert_close(weight.grad, 0.1 * weight.detach().sign() + 0.02 * weight.detach())


def test_no_penalty_is_the_loss_itself():
    assert penalised(mean_squared_error, [torch.ones(1)], l1=0, l2=0) is mean_squared_error
