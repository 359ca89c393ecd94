import torch

from mnist_reference.training.update_rules import Moments, adam, gradient_descent, momentum

NUM_STEPS = 100
START = torch.linspace(-2, 2, 9, dtype=torch.float64)


def gradient_at(weights):
    """Of a loss that is neither convex nor symmetric."""
    return torch.cos(3 * weights) + 0.5 * weights


def run_torch(optimizer_class, **settings):
    weights = START.clone().requires_grad_()
    optimizer = optimizer_class([weights], **settings)
    for _ in range(NUM_STEPS):
        weights.grad = gradient_at(weights.detach())
        optimizer.step()
    return weights.detach()


def test_gradient_descent_is_torchs():
    weights = START
    for _ in range(NUM_STEPS):
        weights = gradient_descent(weights, gradient_at(weights), learning_rate=0.03)

    torch.testing.assert_close(weights, run_torch(torch.optim.SGD, lr=0.03))


def test_momentum_is_torchs():
    weights, velocity = START, torch.zeros_like(START)
    for _ in range(NUM_STEPS):
        weights, velocity = momentum(weights, gradient_at(weights), velocity, learning_rate=0.03)

    torch.testing.assert_close(weights, run_torch(torch.optim.SGD, lr=0.03, momentum=0.9))


def test_adam_is_torchs():
    weights, moments = START, Moments(torch.zeros_like(START), torch.zeros_like(START))
    for _ in range(NUM_STEPS):
        weights, moments = adam(weights, gradient_at(weights), moments, learning_rate=0.03)

    torch.testing.assert_close(weights, run_torch(torch.optim.Adam, lr=0.03))


def test_first_step_of_adam_is_the_learning_rate_whatever_the_gradient():
    moments = Moments(torch.zeros(3), torch.zeros(3))

    weights, _ = adam(torch.zeros(3), torch.tensor([1e-3, -1.0, 1e3]), moments, learning_rate=0.1)

    torch.testing.assert_close(weights, torch.tensor([-0.1, 0.1, -0.1]), rtol=1e-4, atol=0)
