"""Counts that need a CUDA device; ``nox -s gpu`` runs them, elsewhere they are skipped."""

import pytest
import torch

from mainstay.runner.counting import Counts

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def test_kernels_are_counted_by_name():
    values = torch.ones(1000, device="cuda")
    counts = Counts()

    def work():
        return (values * 2 + 1).sum()

    number = counts.kernels(work)

    assert number == counts.values["kernel_launches"] >= 3
    assert sum(each["number"] for each in counts.names["kernel_launches"]) == number


def test_moves_that_wait_are_counted_where_they_are_made():
    values = torch.ones(1000, device="cuda")
    counts = Counts()

    counts.torch(lambda: values.to("cuda").sum().cpu())

    assert counts.values["synchronisations"] == 1
    assert counts.values["blocking_transfers"] == 0, "it was there already"
