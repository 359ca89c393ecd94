"""Ensembles: several models of the same task, whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mnist_reference.models.evaluate import predict


def averaged(logits: Tensor) -> Tensor:
    """The answers of an ensemble as logits, so that it can be scored like one model.

    Probabilities are averaged instead of logits, so that a member that is wrong with high confidence cannot outvote the
    others.

    Args:
        logits: Logits of each member, (members, N, classes).

    Returns:
        Logarithms of the mean probabilities, (N, classes); their softmax is the mean itself.

    References:
        B. Lakshminarayanan, A. Pritzel, C. Blundell (2017), Simple and scalable predictive uncertainty estimation using
        deep ensembles, section 2.4.

    Example:
        >>> members = torch.tensor([[[0.9, 0.1]], [[0.3, 0.7]]]).log()
        >>> averaged(members).exp()
        tensor([[0.6000, 0.4000]])
    """
    return logits.log_softmax(2).logsumexp(0) - torch.tensor(len(logits)).log()


def predict_by_ensemble(models: Iterable[nn.Module], images: Tensor) -> Tensor:
    """Logits of an ensemble for stored images.

    Args:
        models: Members of the ensemble, see :func:`mnist_reference.models.evaluate.predict`, all on one device.
        images: Images, (N, 28, 28), uint8.

    Returns:
        Logits as in :func:`averaged`, (N, 10).
    """
    return averaged(torch.stack([predict(model, images) for model in models]))
