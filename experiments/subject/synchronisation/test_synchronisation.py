"""The training step with torch, on the GPU where there is one."""

import torch
from subject import deep


def test_train_step(benchmark):
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    torch.manual_seed(0)
    model = deep.new_model(196, 64).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, labels = torch.randn(64, 196, device=device), torch.randint(0, 10, (64,), device=device)

    benchmark(deep.train_step, model, optimizer, inputs, labels)
