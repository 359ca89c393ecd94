import pytest
import torch

from experiments import privacy


def test_each_model_learns_from_another_half():
    first, second = privacy.members(0), privacy.members(1)

    assert int(first.sum()) == int(second.sum()) == privacy.NUM_IMAGES // 2
    assert not torch.equal(first, second)
    assert torch.equal(first, privacy.members(0))


def planted(shift, *, models=16, images=400):
    """Confidences of models that are surer of what they learned from, by as much as asked for."""
    stream = torch.Generator().manual_seed(0)
    is_member = torch.rand(models, images, generator=stream) < 0.5
    difficulty = 5 * torch.randn(images, generator=stream)
    noise = torch.randn(models, images, generator=stream)
    return (difficulty + noise + shift * is_member).double(), is_member


def area(confidences, is_member, model=0):
    scores = privacy.likelihood_ratios(confidences, is_member, model=model)
    return privacy.area_under_curve(scores, is_member[model])


def test_attack_finds_what_the_models_remember_and_nothing_where_they_remember_nothing():
    confidences, is_member = planted(3.0)

    assert area(confidences, is_member) > 0.95
    assert privacy.area_under_curve(confidences[0], is_member[0]) < 0.75  # the loss alone: images differ more than that
    assert area(*planted(0.0)) == pytest.approx(0.5, abs=0.1)


def test_share_of_members_found_is_counted_at_one_percent_of_false_accusations():
    is_member = torch.arange(1_000) < 500
    scores = torch.where(is_member, torch.arange(1_000) % 4, torch.zeros(1_000, dtype=torch.long)).double()

    assert privacy.found(scores, is_member) == 0.75


def test_confidence_is_the_log_odds_of_the_right_class():
    logits = torch.tensor([[2.0, 0.0], [40.0, 0.0]])

    odds = privacy.confidence(logits, torch.tensor([0, 0]))

    assert odds[0].item() == pytest.approx(2.0, abs=1e-5)
    assert odds.isfinite().all()
