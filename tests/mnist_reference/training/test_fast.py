"""The faster way must make the steps of the plain one, bit for bit on one thread, and must give way where it does not."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import parametrizations, prune

from mnist_reference.data.datasets import Split
from mnist_reference.data.shapes import IMAGE_SIDE
from mnist_reference.models.networks import PerceptronConfig, initialised
from mnist_reference.training import fast
from mnist_reference.training.fast import (
    ROUNDING,
    Steps,
    agrees,
    as_it_is,
    can_vary,
    copies,
    faster,
    is_fit,
    put_back,
)
from mnist_reference.training.losses import loss_by_name
from mnist_reference.training.optimizers import Adam, optimizer_by_name
from mnist_reference.training.recipes import article, digits
from mnist_reference.training.train import train, train_batches

CROSS_ENTROPY = loss_by_name("cross_entropy")
SMALL = PerceptronConfig(hidden_widths=(8,), num_inputs=12, num_outputs=5)


def rates_from(learning_rate):
    """Rates that fall from step to step, more of them than any test takes steps."""
    return [learning_rate * 0.9**step for step in range(100)]


RATES = rates_from(0.01)

configs = st.builds(
    PerceptronConfig,
    hidden_widths=st.lists(st.integers(2, 40), max_size=3).map(tuple),
    num_inputs=st.one_of(st.integers(1, 60), st.just(IMAGE_SIDE**2)),
    num_outputs=st.integers(2, 11),
)


def random_split(config, num_examples, *, seed):
    """Noise: stored images where the inputs are as many as their pixels, else numbers in [0, 1]."""
    stream = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (num_examples, config.num_inputs), generator=stream)
    labels = torch.randint(0, config.num_outputs, (num_examples,), generator=stream)
    is_stored = config.num_inputs == IMAGE_SIDE**2
    images = images.to(torch.uint8).view(-1, IMAGE_SIDE, IMAGE_SIDE) if is_stored else images / 255
    return Split(images=images, labels=labels)


def plain_way(config, split, *, seed, learning_rate=0.01):
    """A model, its optimiser and the plain loop over them."""
    model = initialised(config, seed=seed)
    optimizer = Adam(model.parameters(), learning_rate=learning_rate)
    return (
        model,
        optimizer,
        partial(train_batches, model, CROSS_ENTROPY, optimizer, split),
    )


def batches_of(split, batch_size, *, seed):
    return torch.randperm(len(split.labels), generator=torch.Generator().manual_seed(seed)).split(batch_size)


def same_bits(first, second):
    return all(map(torch.equal, first, second))


@settings(max_examples=40)
@given(
    config=configs,
    num_examples=st.integers(1, 70),
    batch_size=st.integers(1, 33),
    learning_rate=st.floats(1e-5, 0.5),
    seed=st.integers(0, 2**31),
)
def test_steps_have_the_bits_of_the_plain_loop(config, num_examples, batch_size, learning_rate, seed):
    split = random_split(config, num_examples, seed=seed)
    model, _, plain = plain_way(config, split, seed=seed, learning_rate=learning_rate)
    other, optimizer, _ = plain_way(config, split, seed=seed, learning_rate=learning_rate)
    steps = Steps(optimizer, split)

    for epoch in range(2):
        batches = batches_of(split, batch_size, seed=epoch)
        assert torch.equal(plain(batches, rates_from(learning_rate)), steps.run(batches, rates_from(learning_rate)))

    assert same_bits(model.parameters(), other.parameters())


@pytest.mark.parametrize("hidden_widths", [(1, 1), (1,), (2, 1), (1, 2)])
def test_a_layer_of_one_unit_makes_the_steps_of_the_plain_loop_except_for_rounding(hidden_widths):
    config = PerceptronConfig(hidden_widths=hidden_widths, num_inputs=IMAGE_SIDE**2, num_outputs=2)
    for seed in range(30, 40):
        split = random_split(config, 2, seed=seed)
        _, optimizer, plain = plain_way(config, split, seed=seed, learning_rate=0.5)

        assert agrees(plain, Steps(optimizer, split), batches_of(split, 1, seed=0), rates_from(0.5))


@pytest.fixture
def restored_threads():
    num_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(num_threads)


def article_on_images(num_examples):
    split = random_split(article().model, num_examples, seed=0)
    split = Split(images=split.images.view(-1, 28, 28), labels=split.labels)
    return split, *plain_way(article().model, split, seed=0)


def test_the_article_s_model_on_images_has_the_bits_of_the_plain_loop_on_one_thread():
    split, model, _, plain = article_on_images(1500)
    _, other, optimizer, _ = article_on_images(1500)
    batches = batches_of(split, 64, seed=0)

    losses = Steps(optimizer, split).run(batches, RATES)

    assert torch.equal(losses, plain(batches, RATES))
    assert same_bits(model.parameters(), other.parameters())


def test_means_of_gradients_that_stay_zero_become_zero_and_no_weight_changes_by_it():
    inked_once = random_split(SMALL, 32, seed=0)
    inked_once.images[1:, 0] = 0
    model, its_optimizer, plain = plain_way(SMALL, inked_once, seed=0)
    other, optimizer, _ = plain_way(SMALL, inked_once, seed=0)
    batches = [torch.arange(4), *torch.arange(4, 32).split(4) * 150]
    rates = [1e-3] * len(batches)

    losses = Steps(optimizer, inked_once).run(batches, rates)

    assert torch.equal(losses, plain(batches, rates))
    assert same_bits(model.parameters(), other.parameters())
    smallest_normal = torch.finfo(torch.float32).tiny
    assert 0 < its_optimizer.means[0][:, 0].abs().max() < smallest_normal
    assert all(bool(((mean == 0) | (mean.abs() >= smallest_normal)).all()) for mean in optimizer.means)


def test_small_means_of_a_layer_that_gets_no_gradient_make_no_other_step():
    split = random_split(SMALL, 8, seed=0)
    model, optimizer, plain = plain_way(SMALL, split, seed=0)
    with torch.no_grad():
        model.layers[0].bias.fill_(-100.0)  # no unit of the first layer is active
    for mean in optimizer.means:
        mean.fill_(fast.SMALLEST_MEAN / 2)

    assert agrees(plain, Steps(optimizer, split), batches_of(split, 4, seed=0), RATES)


@pytest.mark.parametrize("prefers_mkl", [True, False], ids=["intel", "other-processor"])
@pytest.mark.parametrize("num_threads", [1, 2, 3, 4])
def test_the_article_s_model_on_images_makes_the_steps_of_the_plain_loop(
    num_threads, prefers_mkl, restored_threads, monkeypatch
):
    monkeypatch.setattr(fast, "prefers_mkl", lambda: prefers_mkl)
    torch.set_num_threads(num_threads)
    split, _, optimizer, plain = article_on_images(1500)

    assert agrees(plain, Steps(optimizer, split), batches_of(split, 64, seed=0), RATES)


@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test_the_first_step_follows_the_gradient_of_float64(num_threads, restored_threads):
    torch.set_num_threads(num_threads)
    split, _, optimizer, _ = article_on_images(64)
    exact = initialised(article().model, seed=0).double()
    expected = CROSS_ENTROPY(exact(split.images.double() / 255), split.labels)
    expected.backward()

    losses = Steps(optimizer, split).run([torch.arange(64)], RATES)

    assert float(losses[0]) == pytest.approx(expected.item(), rel=ROUNDING)
    for parameter, mean in zip(exact.parameters(), optimizer.means, strict=True):
        gradient = mean.double() / 0.1  # a tenth of the first gradient is what Adam remembers
        assert float((gradient - parameter.grad).norm()) <= ROUNDING * float(parameter.grad.norm())


ELSEWHERE = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from test_fast import RATES, article_on_images, batches_of, same_bits
from mnist_reference.training.fast import Steps, agrees
for num_threads in (1, 2, 3, 4):
    torch.set_num_threads(num_threads)
    split, model, optimizer, plain = article_on_images(320)
    batches = batches_of(split, 64, seed=0)
    assert agrees(plain, Steps(optimizer, split), batches, RATES), f"other steps on {num_threads} threads"
    if num_threads == 1:
        _, other, optimizer, _ = article_on_images(320)
        assert torch.equal(Steps(optimizer, split).run(batches, RATES), plain(batches, RATES)), "other losses"
        assert same_bits(model.parameters(), other.parameters()), "other weights"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"MKL_CBWR": "COMPATIBLE"}, id="products-in-another-order"),
        pytest.param({"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ATEN_CPU_CAPABILITY": "default"}, id="no-vectors"),
        pytest.param({"MKL_CBWR": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}, id="avx2"),
    ],
)
def test_libraries_that_take_other_kernels_make_the_same_steps(variables):
    folder = os.path.dirname(__file__)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, folder],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **variables, "OMP_WAIT_POLICY": "passive"},
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_either_way_can_take_the_next_step():
    split = random_split(SMALL, 40, seed=1)
    model, _, plain = plain_way(SMALL, split, seed=1)
    mixed, optimizer, its_plain = plain_way(SMALL, split, seed=1)
    steps = Steps(optimizer, split)
    batches = batches_of(split, 8, seed=1)

    plain(batches, RATES)
    steps.run(batches[:2], RATES)
    its_plain(batches[2:4], RATES[2:])
    steps.run(batches[4:], RATES[4:])

    assert same_bits(model.parameters(), mixed.parameters())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"label_smoothing": 0.1}, id="label-smoothing"),
        pytest.param({"loss": "mean_squared_error"}, id="other-loss"),
        pytest.param({"optimizer": "sgd"}, id="other-optimiser"),
    ],
)
def test_a_recipe_that_asks_for_more_goes_the_plain_way(change):
    recipe = replace(digits(), **change)
    model = initialised(recipe.model, seed=0)

    assert not is_fit(model, recipe)


def test_another_model_goes_the_plain_way():
    recipe = digits()
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    optimizer = optimizer_by_name("adam", model.parameters(), learning_rate=0.01)
    split = random_split(recipe.model, 4, seed=0)

    assert faster(model, recipe, optimizer, split) is as_it_is


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda model: prune.l1_unstructured(model.layers[0], "weight", amount=0.5), id="mask"),
        pytest.param(lambda model: parametrizations.weight_norm(model.layers[0]), id="parametrisation"),
        pytest.param(lambda model: model.layers[0].register_forward_hook(lambda *_: None), id="hook"),
        pytest.param(lambda model: model.layers.__setitem__(1, torch.nn.Identity()), id="other-layer"),
    ],
)
def test_an_altered_perceptron_goes_the_plain_way(alter):
    recipe = digits()
    model = initialised(recipe.model, seed=0)
    assert is_fit(model, recipe)

    alter(model)

    assert not is_fit(model, recipe)


def test_dropout_goes_the_plain_way():
    recipe = replace(digits(), model=replace(digits().model, dropout=0.5))

    assert not is_fit(initialised(recipe.model, seed=0), recipe)


def test_a_schedule_is_not_for_a_graph():
    varying = replace(article(), schedule="one_cycle")

    assert can_vary(varying, torch.device("cpu"))
    assert can_vary(article(), torch.device("cuda"))
    assert not can_vary(varying, torch.device("cuda"))


def test_the_recipes_of_both_data_sets_go_the_faster_way(monkeypatch):
    ways = []

    def noted(plain, steps, batches, rates):
        ways.append(agrees(plain, steps, batches, rates))
        return ways[-1]

    monkeypatch.setattr(fast, "agrees", noted)
    for recipe in (article(), digits()):
        split = random_split(recipe.model, 65, seed=0)

        list(train(initialised(recipe.model, seed=0), split, replace(recipe, num_epochs=1), seed=0))

    assert ways == [True, True]


@pytest.mark.parametrize("wrong_batch", [0, -1], ids=["first", "last"])
def test_a_changed_plain_loop_is_never_hidden(wrong_batch):
    split = random_split(SMALL, 37, seed=2)
    batches = batches_of(split, 8, seed=2)

    def changed(plain, chosen, rates):
        wrong = batches[wrong_batch]
        halved = [batch.flip(0)[: len(batch) // 2] if torch.equal(batch, wrong) else batch for batch in chosen]
        return plain(halved, rates)

    expected, _, plain = plain_way(SMALL, split, seed=2)
    losses = changed(plain, batches, RATES)
    model, optimizer, plain = plain_way(SMALL, split, seed=2)

    assert torch.equal(Steps(optimizer, split).in_place_of(partial(changed, plain))(batches, RATES), losses)
    assert same_bits(model.parameters(), expected.parameters())


def decaying(plain, optimizer, *, share):
    """A plain way whose weights also shrink, as by weight decay: nothing that the losses or the moments show."""

    def run(batches, rates):
        losses = plain(batches, rates)
        with torch.no_grad():
            for parameter in optimizer.parameters:
                parameter.mul_(1 - share)
        return losses

    return run


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda plain, optimizer: decaying(plain, optimizer, share=1e-5), id="weight-decay"),
        pytest.param(
            lambda plain, _: lambda batches, rates: plain(batches, [1.001 * rate for rate in rates]), id="rate"
        ),
        pytest.param(lambda plain, _: lambda batches, rates: plain(batches, rates) * 1.001, id="loss"),
        pytest.param(
            lambda plain, _: partial(
                train_batches, plain.args[0], loss_by_name("cross_entropy", label_smoothing=1e-3), *plain.args[2:]
            ),
            id="label-smoothing",
        ),
        pytest.param(lambda plain, _: lambda batches, rates: plain(batches, rates) * float("nan"), id="not-a-number"),
    ],
)
def test_a_small_change_to_the_plain_loop_is_seen(change):
    split = random_split(SMALL, 37, seed=2)
    batches = batches_of(split, 8, seed=2)
    _, optimizer, plain = plain_way(SMALL, split, seed=2)
    steps = Steps(optimizer, split)
    before = copies(steps.state)
    assert agrees(plain, steps, batches, RATES)

    assert not agrees(change(plain, optimizer), steps, batches, RATES)

    assert same_bits(before, steps.state)


def test_trying_leaves_no_trace():
    split = random_split(SMALL, 37, seed=3)
    batches = batches_of(split, 8, seed=3)
    expected, _, plain = plain_way(SMALL, split, seed=3)
    losses = plain(batches, RATES)
    model, optimizer, plain = plain_way(SMALL, split, seed=3)

    assert torch.equal(Steps(optimizer, split).in_place_of(plain)(batches, RATES), losses)
    assert same_bits(model.parameters(), expected.parameters())


def test_an_operator_that_takes_other_arguments_goes_the_plain_way(monkeypatch):
    split = random_split(SMALL, 37, seed=3)
    batches = batches_of(split, 8, seed=3)
    expected, _, plain = plain_way(SMALL, split, seed=3)
    losses = plain(batches, RATES)
    model, optimizer, plain = plain_way(SMALL, split, seed=3)
    monkeypatch.setattr(fast, "fill_nll_loss", torch.ops.aten.nll_loss2d_forward.output)

    assert torch.equal(Steps(optimizer, split).in_place_of(plain)(batches, RATES), losses)
    assert same_bits(model.parameters(), expected.parameters())


def test_memory_that_runs_out_while_trying_is_told(monkeypatch):
    split = random_split(SMALL, 37, seed=3)
    _, optimizer, plain = plain_way(SMALL, split, seed=3)

    def full(*_, **__):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(fast, "fill_nll_loss", full)

    with pytest.raises(torch.OutOfMemoryError):
        agrees(plain, Steps(optimizer, split), batches_of(split, 8, seed=3), RATES)


WITHOUT_AN_OPERATOR = """
import sys
from dataclasses import replace
import torch
from mnist_reference.data.datasets import Split
from mnist_reference.models.networks import initialised
from mnist_reference.training.recipes import article

recipe = replace(article(), num_epochs=1)
split = Split(images=torch.zeros(65, 28, 28, dtype=torch.uint8), labels=torch.arange(65) % 10)
namespace = type(torch.ops.aten)
looked_up = namespace.__getattr__
for owner, gone in (
    (torch.ops.aten, "nll_loss_forward"),
    (torch.ops.aten, "threshold_backward"),
    (torch, "_log_softmax_backward_data"),
    (torch, "_fused_adam_"),
):
    kept = owner.__dict__.pop(gone, None)
    namespace.__getattr__ = lambda self, name: object.__getattribute__(self, name) if name == gone else looked_up(self, name)
    for name in ("fast", "train"):
        sys.modules.pop(f"mnist_reference.{name}", None)
    from mnist_reference.training import fast, train

    model = initialised(recipe.model, seed=0)
    assert not fast.is_fit(model, recipe), gone
    if owner is not torch or gone != "_fused_adam_":  # which torch's own Adam calls too
        [record] = train.train(model, split, recipe, seed=0)
        assert record.train_loss > 0, gone
    if kept is not None:
        setattr(owner, gone, kept)
    namespace.__getattr__ = looked_up
"""


@pytest.mark.slow
def test_without_an_operator_of_torch_the_plain_way_is_taken():
    done = subprocess.run([sys.executable, "-c", WITHOUT_AN_OPERATOR], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_numbers_are_put_back():
    tensors = [torch.arange(3.0), torch.zeros(())]
    before = copies(tensors)
    tensors[0] += 1

    put_back(before, tensors)

    assert same_bits(tensors, [torch.arange(3.0), torch.zeros(())])


def test_steps_stay_on_the_device_of_the_model_whatever_it_is(restored_threads):
    torch.set_num_threads(2)
    place = torch.device("meta")  # computes nothing, and like any other refuses tensors of the CPU
    split = random_split(article().model, 300, seed=0).to(place)
    optimizer = Adam(initialised(article().model, seed=0).to(place).parameters(), learning_rate=0.001)
    batches = [batch.to(place) for batch in batches_of(split, 64, seed=0)]

    losses = Steps(optimizer, split).run(batches, [0.001] * len(batches))

    assert (losses.device, losses.shape) == (place, (5,))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device")
def test_captured_steps_are_those_of_the_plain_loop():
    split = random_split(article().model, 300, seed=0).to(torch.device("cuda"))
    models = [initialised(article().model, seed=0).to("cuda") for _ in range(2)]
    optimizers = [Adam(model.parameters(), learning_rate=0.001) for model in models]
    batches = [batch.cuda() for batch in batches_of(split, 64, seed=0)]

    losses = Steps(optimizers[1], split).run(batches, [0.001] * len(batches))

    expected = train_batches(models[0], CROSS_ENTROPY, optimizers[0], split, batches, rates=[0.001] * len(batches))
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-5)  # libraries choose their kernels by the call
