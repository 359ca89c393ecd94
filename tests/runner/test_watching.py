"""Trials that are watched, in this process: what a step is, and what is told of its operators."""

import base64
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from mainstay.measuring.parting import cause_of, first_pair
from mainstay.runner.channel import Channel
from mainstay.runner.protocol import Event
from mainstay.runner.watching import Watch
from mainstay.workers.watching import Watched

torch = pytest.importorskip("torch")

HERE = Path(__file__).name


class Gate(Channel):
    """The other end of the channel, which lets the trial go on and asks for results."""

    def __init__(self, commands=()):  # no pipes
        self.sent = []
        self._asked = list(commands)

    def send(self, event, **content):
        self.sent.append((event, content))

    def receive(self):
        return self._asked.pop(0) if self._asked else {"do": "next"}

    def contents(self, event):
        return [content for each, content in self.sent if each is event]


def watched(trial, level="parameters", step=0, commands=(), seed=0):
    """Run a trial that is watched, and return what the gate was sent."""
    gate = Gate(commands)
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    with Watch(gate, level, step, str(Path(__file__).parent), str(Path(__file__).parents[1])) as watch:
        watch.start()
        trial()
        watch.finish()
    return gate


def operators_of(trial, step=1, seed=0):
    pages = watched(trial, "operators", step, seed=seed).contents(Event.OPERATORS)
    wanted = next(index for index, page in enumerate(pages) if page["is_last"])
    return [operator for page in pages[: wanted + 1] for operator in page["operators"]], pages[wanted]["places"]


def part(baseline, candidate, step=1, seeds=(0, 0)):
    """The first operators in which two trials part, with their places and the cause."""
    old, new = (
        Watched(operators=operators, places=places)
        for operators, places in (
            operators_of(*each) for each in ((baseline, step, seeds[0]), (candidate, step, seeds[1]))
        )
    )
    numbers = first_pair(old, new)
    one, other = (of.operators[n] if n is not None else None for of, n in zip((old, new), numbers, strict=True))
    known = frozenset(content for each in old.operators for content in (*each["inputs"], *each["outputs"]))
    return one, other, cause_of(one, other, known), new.places


def training(optimizer="SGD", num_steps=3, scale=1.0, extra=None, rate=0.1, drop=0.0, data=None, **options):
    """A trial that trains a small network."""

    def trial():
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
        inputs = torch.randn(8, 4) if data is None else torch.tensor(data())
        stepping = getattr(torch.optim, optimizer)(model.parameters(), lr=rate, **options)
        for _ in range(num_steps):
            stepping.zero_grad()
            outputs = torch.nn.functional.dropout(model(inputs), drop)
            loss = outputs.square().mean() * scale
            loss.backward()
            if extra:
                extra(model, loss)
            stepping.step()

    return trial


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW", "Adagrad"])
@pytest.mark.parametrize("options", [{"foreach": False}, {"foreach": True}])
def test_a_step_ends_where_written_parameters_are_read_again(optimizer, options):
    steps = watched(training(optimizer, **options)).contents(Event.STEP)

    assert [step["is_last"] for step in steps] == [False, False, False, True]
    assert len({step["digest"] for step in steps}) == 4


def test_parameters_that_are_written_without_autograd_count_as_well():
    def trial():
        model = torch.nn.Linear(2, 1)
        inputs = torch.ones(1, 2)
        weight = model(inputs).detach() * 0 + model.weight.detach()
        for _ in range(2):
            with torch.inference_mode():
                torch.nn.functional.linear(inputs, weight)
                model.weight.detach().sub_(0.5)
                model(inputs)

    assert len(watched(trial).contents(Event.STEP)) == 4


def test_a_trial_without_torch_is_one_step():
    gate = Gate()
    with Watch(gate, "parameters", 0, ".", ".") as watch:
        watch.finish()

    assert gate.contents(Event.STEP) == [{"number": 0, "digest": "", "is_last": True}]


def test_the_same_trial_has_no_first_operator():
    one, other, *_ = part(training(), training())

    assert (one, other) == (None, None)


def test_an_operator_is_told_with_its_module_and_its_line():
    operators, places = operators_of(training())

    linear = next(each for each in operators if each["name"] == "aten.addmm")
    frame = places[linear["place"]][0]
    assert linear["module"] == "Sequential.0 (Linear)"
    assert (frame["root"], frame["file"], frame["function"]) == ("own", HERE, "training.<locals>.trial")
    assert Path(__file__).read_text().splitlines()[frame["line"] - 1].strip().startswith("outputs = ")


def test_an_operator_of_the_backward_pass_is_told_with_the_line_and_module_of_its_forward_pass():
    operators, places = operators_of(training())

    backward = next(each for each in operators if each["name"] == "aten.threshold_backward")
    line = places[backward["forward"]][0]["line"]
    assert backward["is_backward"]
    assert backward["module"] == "Sequential.1 (ReLU)"
    assert "model(inputs)" in Path(__file__).read_text().splitlines()[line - 1]


def test_another_loss_is_named_by_its_operator():
    one, other, cause, _ = part(training(), training(scale=2.0))

    assert (one["name"], other["name"]) == ("aten.mul.Tensor", "aten.mul.Tensor")
    assert cause == "it is called with other arguments: other=1.0 -> other=2.0"


def test_another_seed_is_named_as_another_state_of_the_generator():
    one, _, cause, _ = part(training(), training(), step=0, seeds=(0, 1))

    assert one["name"] == "aten.uniform_"
    assert "generator in another state: another seed" in cause


def test_another_rate_of_dropout_is_named():
    _, other, cause, _ = part(training(drop=0.2), training(drop=0.9))

    assert "dropout" in other["name"] or "bernoulli" in other["name"]
    assert "other arguments" in cause


def test_data_from_outside_torch_are_named_with_the_stream_of_random_numbers():
    def data(times):
        def draw():
            drawn = [[[random.random() for _ in range(4)] for _ in range(8)] for _ in range(times)]
            return drawn[-1]

        return draw

    _, other, cause, _ = part(training(data=data(1)), training(data=data(2)), step=0)

    assert other is None or other["name"] == "aten.lift_fresh"
    if other:
        assert "state of Python's random" in cause


def test_clipped_gradients_are_named_by_the_operator_that_was_added():
    def clip(model, loss):
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)

    _, other, cause, places = part(training(), training(extra=clip))

    assert "norm" in other["name"]
    assert places[other["place"]][0]["function"].endswith("clip")
    assert "where the baseline calls" in cause


def test_what_only_watches_is_not_named():
    def look(model, loss):
        float(loss.detach() * 3 + 1)

    _, other, _, places = part(training(extra=look), training(extra=look, scale=2.0))

    assert other["name"] == "aten.mul.Tensor"
    assert places[other["place"]][0]["function"] == "training.<locals>.trial"


def test_another_momentum_is_named_in_the_step_in_which_it_first_tells():
    one, _, cause, _ = part(training(momentum=0.9), training(momentum=0.5), step=2)

    assert "mul_" in one["name"]
    assert "0.9" in cause
    assert "0.5" in cause


def test_what_memory_held_before_does_not_count():
    def trial():
        part = torch.empty(1000)
        part[:10] = 1
        part.sum()

    digests = {watched(trial, "everything").contents(Event.STEP)[0]["digest"] for _ in range(3)}
    torch.full((1000,), 7.0)

    assert digests == {watched(trial, "everything").contents(Event.STEP)[0]["digest"]}


def test_results_are_sent_as_numbers():
    asked = [{"do": "values", "operator": 0, "output": 0, "start": start} for start in (0, 2)]
    gate = watched(lambda: torch.tensor([1.5, 2.5]), "operators", 0, commands=asked)

    first, second = gate.contents(Event.VALUES)
    assert struct.unpack("<2d", base64.b64decode(first["values"])) == (1.5, 2.5)
    assert second == {"values": "", "is_kept": True}


def test_too_large_results_are_not_kept(monkeypatch):
    monkeypatch.setattr("mainstay.runner.watching.MAX_KEPT_BYTES", 4)
    asked = [{"do": "values", "operator": 0, "output": 0, "start": 0}]

    (answer,) = watched(lambda: torch.tensor([1.5, 2.5]), "operators", 0, commands=asked).contents(Event.VALUES)

    assert answer == {"values": "", "is_kept": False}


def test_many_operators_are_sent_page_by_page(monkeypatch):
    monkeypatch.setattr("mainstay.runner.watching.PAGE", 2)

    pages = watched(lambda: [torch.tensor(1.0) for _ in range(5)], "operators", 0).contents(Event.OPERATORS)

    assert [len(page["operators"]) for page in pages] == [2, 2, 1]
    assert [page["is_last"] for page in pages] == [False, False, True]


def test_parameters_that_were_freed_are_forgotten():
    def trial():
        for _ in range(20):
            training(num_steps=1)()

    steps = watched(trial).contents(Event.STEP)

    assert len(steps) >= 20


def test_the_nodes_of_compiled_graphs_are_told_with_their_lines():
    def trial(factor):
        def run():
            torch._dynamo.reset()
            compiled = torch.compile(lambda inputs: (inputs * factor).sin(), backend="eager")
            compiled(torch.ones(3))

        return run

    (first,), (second,) = (watched(trial(factor), "graphs").contents(Event.OPERATORS) for factor in (2.0, 3.0))

    texts = [[operator["arguments"] for operator in page["operators"]] for page in (first, second)]
    part = next(n for n in range(len(texts[0])) if texts[0][n] != texts[1][n])
    assert "2.0" in texts[0][part][0]
    assert "3.0" in texts[1][part][0]
    assert first["places"][first["operators"][part]["place"]][0]["file"] == HERE
