import subprocess
import sys

import numpy as np
import pytest
import torch

from mnist_reference.errors import UnknownNameError
from mnist_reference.training.optimizers import Adam, optimizer_by_name

NUM_STEPS = 100


def quadratic_run(make_optimizer):
    """Parameters after steps along gradients that change sign and size."""
    parameters = [torch.linspace(-1, 1, 12).reshape(3, 4).requires_grad_(), torch.ones(5, requires_grad=True)]
    optimizer = make_optimizer(parameters)
    for step in range(NUM_STEPS):
        optimizer.zero_grad()
        torch.stack([((parameter - 0.3 * step % 1) ** 2).sum() for parameter in parameters]).sum().backward()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def test_adam_has_the_bits_of_torch_optim():
    ours = quadratic_run(lambda parameters: Adam(parameters, learning_rate=0.01))
    theirs = quadratic_run(lambda parameters: torch.optim.Adam(parameters, lr=0.01, fused=True))

    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


def test_adam_follows_algorithm_1_of_its_paper():
    (value,) = quadratic_run(lambda parameters: Adam(parameters, learning_rate=0.01))[:1]

    expected = np.linspace(-1, 1, 12).reshape(3, 4)
    mean, square = np.zeros((3, 4)), np.zeros((3, 4))
    for step in range(NUM_STEPS):
        gradient = 2 * (expected - 0.3 * step % 1)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        corrected = mean / (1 - 0.9 ** (step + 1)), square / (1 - 0.999 ** (step + 1))
        expected = expected - 0.01 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)

    np.testing.assert_allclose(value.numpy(), expected, atol=1e-5)


@pytest.mark.slow
def test_adam_does_not_import_the_compiler():
    script = (
        "import sys, torch; from mnist_reference.training.optimizers import optimizer_by_name;"
        "weight = torch.ones(3, requires_grad=True); optimizer = optimizer_by_name('adam', [weight], learning_rate=0.1);"
        "weight.sum().backward(); optimizer.step(); sys.exit('torch._dynamo' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_other_names_are_those_of_torch_optim():
    optimizer = optimizer_by_name("sgd", [torch.ones(2, requires_grad=True)], learning_rate=0.5)

    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.defaults["lr"] == 0.5


def test_momentum_is_sgd_with_nine_tenths():
    ours = quadratic_run(lambda parameters: optimizer_by_name("momentum", parameters, learning_rate=0.01))
    theirs = quadratic_run(lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9))

    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ["adan", "Adamm", ""])
def test_unknown_name_is_refused_with_a_hint(name):
    with pytest.raises(UnknownNameError, match="no optimiser named") as refusal:
        optimizer_by_name(name, [torch.ones(2, requires_grad=True)], learning_rate=0.5)

    assert "adam" in str(refusal.value)


def test_the_common_base_is_no_optimiser():
    with pytest.raises(UnknownNameError, match="no optimiser named 'optimizer'"):
        optimizer_by_name("optimizer", [torch.ones(2, requires_grad=True)], learning_rate=0.5)


@pytest.mark.parametrize("name", ["lbfgs", "sparseadam", "muon"])
def test_optimisers_that_the_loop_cannot_drive_are_not_offered(name):
    with pytest.raises(UnknownNameError, match=f"no optimiser named '{name}'"):
        optimizer_by_name(name, [torch.ones(2, requires_grad=True)], learning_rate=0.5)


def test_adam_goes_on_from_its_state_with_the_same_bits():
    def stepped(optimizer, weight, num_steps):
        for step in range(num_steps):
            weight.grad = torch.cos(weight.detach() + step)
            optimizer.step()

    whole, part = (torch.linspace(-1, 1, 7).requires_grad_() for _ in range(2))
    one = Adam([whole], learning_rate=0.1)
    stepped(one, whole, 3)
    with torch.no_grad():
        part.copy_(whole)
    other = Adam([part], learning_rate=0.1)
    other.load_state_dict(one.state_dict())

    stepped(one, whole, 4)
    stepped(other, part, 4)

    assert torch.equal(whole, part)
