"""The search for the first difference, with real workers."""

import sys
import textwrap
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

from mainstay.measuring.explaining import find_first_difference
from mainstay.measuring.parting import compare_recorded, first_pair, why_failed
from mainstay.records.explanations import Explanation, Parting
from mainstay.reports.explanation import render_explanation
from mainstay.workers.fork_server import can_fork, fork_servers
from mainstay.workers.watching import Watched, WatchError

HEAD = "import os, random\nimport pytest\n\nIS_CANDIDATE = os.environ['SIDE'] == 'candidate'\n"

TRAINED = """
import torch

def test_trained(trial):
    torch.manual_seed(trial.seed)
    model = torch.nn.Linear(3, 1)
    inputs = torch.randn(4, 3)
    for step in range(3):
        loss = model(inputs).square().mean()
        if IS_CANDIDATE and step == 1:
            loss = loss * 2
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
    trial.record(a=float(loss))
    trial.record_digest(model.state_dict())
"""

PLAIN = """
def test_plain(trial):
    trial.record_series("loss", [3.0, 2.0 + IS_CANDIDATE, 1.0])
    trial.record(a=1.0 + IS_CANDIDATE)
    trial.record_digest([1])
"""


needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch")


@pytest.fixture(scope="module")
def finder(make_specs_in, tmp_path_factory):
    """Makes searches for the first difference of a workload, whose candidate sets itself apart by an environment variable."""

    @contextmanager
    def finder(*preload):
        folder = tmp_path_factory.mktemp("explaining")
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # no thread outlives an import
        specs = make_specs_in(folder, "[pytest]\n", **one_thread)

        def find(workload, limit_s=60.0):
            mark = '\n@pytest.mark.accuracy(metric="a", margin=0.1, unit="1")\ndef test_'
            marked = textwrap.dedent(workload.replace("\ndef test_", mark))
            (folder / "measure" / "benchmarks" / "test_a.py").write_text(HEAD + marked)
            name = workload.partition("def ")[2].partition("(")[0]
            return find_first_difference(
                specs, f"benchmarks/test_a.py::{name}", 7, limit_s=limit_s, launchers=launchers
            )

        with fork_servers(specs, preload if can_fork(sys.platform) else ()) as servers:
            launchers = {side: server.start for side, server in servers.items()}
            yield find

    return finder


@pytest.fixture
def find(finder):
    """A search with fresh workers."""
    with finder() as find:
        yield find


@pytest.fixture(scope="module")
def find_with_torch(finder):
    """A search with workers that are forked from servers, since each would import PyTorch for seconds."""
    with finder("torch", "torch._dynamo") as find:
        yield find


@needs_torch
def test_the_step_the_operator_and_the_line_are_found(find_with_torch):
    found = find_with_torch(TRAINED)

    assert (found.parting, found.step) == (Parting.OPERATOR, 2)
    assert found.candidate.name == "aten.mul.Tensor"
    assert (found.candidate.line.root, found.candidate.line.function) == ("workloads", "test_trained")
    assert found.largest_difference > 0
    assert set(found.seconds) == {"parameters", "operators"}


def test_without_torch_the_first_value_of_a_series_is_named(find):
    found = find(PLAIN)

    assert found.parting is Parting.RECORDED
    assert found.recorded == "series loss differs first at value 2: 2.0 -> 3.0"


def test_equal_trials_without_torch_have_only_recorded_the_same(find):
    found = find(PLAIN.replace("IS_CANDIDATE", "0"))

    assert found.parting is Parting.NOTHING
    assert found.cause.startswith("both revisions recorded the same with this seed; what they computed besides was not")


COMPILED = """
import torch

def test_compiled(trial):
    def scaled(inputs):
        return (inputs.sin() * 1.5) if torch.compiler.is_compiling() and IS_CANDIDATE else inputs.sin()

    weights = torch.nn.Parameter(torch.ones(40))
    compiled = torch.compile(scaled, backend="eager")
    for _ in range(2):
        compiled(weights).sum().backward()
        with torch.no_grad():
            weights -= 0.1 * weights.grad
    trial.record(a=float(weights.detach().sum()))
"""


@pytest.mark.slow
@needs_torch
def test_a_difference_of_compiled_code_alone_is_found_in_its_graph(find_with_torch):
    found = find_with_torch(COMPILED)

    assert found.parting is Parting.GRAPH
    assert "1.5" in found.candidate.arguments[0]
    assert found.candidate.line.function == "scaled"
    assert found.recorded.startswith("value a differs: ")
    assert "uncompiled, both revisions compute the same" in found.cause


@pytest.mark.slow
@needs_torch
def test_compiled_trials_that_record_the_same_have_no_difference(find_with_torch):
    found = find_with_torch(COMPILED.replace("inputs.sin() * 1.5", "inputs.sin() * 1"))

    assert found.parting is Parting.NOTHING
    assert "the same parameters after every step" in found.cause
    assert set(found.seconds) == {"parameters", "graphs"}


@pytest.mark.slow
@needs_torch
def test_torch_that_the_test_itself_imports_is_watched_too(find):
    late = TRAINED.replace("import torch\n", "", 1).replace("(trial):\n", "(trial):\n    import torch\n")

    found = find(late)

    assert (found.parting, found.step, found.candidate.name) == (Parting.OPERATOR, 2, "aten.mul.Tensor")


@pytest.mark.slow
@needs_torch
def test_what_differs_only_when_it_is_not_watched_is_recorded(find):
    unwatched = "torch.utils._python_dispatch._get_current_dispatch_mode() is None"

    found = find(TRAINED.replace("a=float(loss)", f"a=1.0 + ({unwatched} and IS_CANDIDATE)").replace("step == 1", "0"))

    assert (found.parting, found.recorded) == (Parting.RECORDED, "value a differs: 1.0 -> 2.0")
    assert "run as the gate runs them, they do not" in found.cause


def test_from_a_baseline_that_differs_from_itself_nothing_follows(find):
    found = find(PLAIN.replace("1.0 + IS_CANDIDATE", "random.random()").replace("IS_CANDIDATE", "0"))

    assert found.parting is Parting.BASELINE
    assert "value a differs" in found.cause


def test_a_candidate_that_fails_is_said_to(find):
    found = find(PLAIN.replace("trial.record_digest([1])", "assert not IS_CANDIDATE"))

    assert found.recorded.startswith("trial of the candidate failed: assert not True")


@pytest.mark.slow
@needs_torch
def test_trials_whose_steps_never_end_are_ended(find_with_torch):
    with pytest.raises(WatchError, match="the watched trials took longer than 2 s"):
        find_with_torch(TRAINED.replace("range(3)", "range(10**9)").replace("IS_CANDIDATE", "False"), limit_s=0.1)


@pytest.mark.slow
def test_a_trial_that_never_ends_is_ended(find):
    with pytest.raises(WatchError, match="the watched trials took longer than 2 s"):
        find(PLAIN.replace("trial.record_digest([1])", "import time; time.sleep(10**6)"), limit_s=0.1)


def test_a_workload_that_is_not_collected_cannot_be_watched(find):
    with pytest.raises(WatchError, match="not collected"):
        find("\ndef unknown(trial): ...\n")


@pytest.mark.parametrize(
    ("baseline", "candidate", "said"),
    [
        ({"values": {"a": 1.0}}, {"values": {"a": 1.0}}, ""),
        ({"values": {"a": 1.0}}, {"values": {}}, "value a differs: 1.0 -> none"),
        ({"context": {"data": "x"}}, {"context": {"data": "y"}}, "context data differs: x -> y"),
        ({"series": {"a": [1.0, 2.0]}}, {"series": {"a": [1.0]}}, "series a differs first at value 2: 2.0 -> none"),
        ({"series": {"a": [1.0]}}, {}, "series a is recorded only by the baseline"),
        ({"series": {"a": [1.0]}}, {"series": {"a": [1.0], "b": []}}, "series b is recorded only by the candidate"),
        ({"digest": "0"}, {"digest": "1"}, "the recorded digest differs, and nothing else that is recorded"),
        (
            {"predictions": {"predicted": "AAE="}},
            {"predictions": {"predicted": "AAI="}},
            "the prediction for example 1 differs",
        ),
    ],
)
def test_what_was_recorded_is_compared(baseline, candidate, said):
    assert compare_recorded(baseline, candidate) == said


def operator(name, inputs=(), outputs=(), *, updates=False, storage=0):
    return {
        "name": name,
        "arguments": [],
        "inputs": list(inputs),
        "read": [storage] * len(inputs),
        "outputs": list(outputs),
        "written": [storage] * len(outputs),
        "shapes": ["float32[99]"] * len(outputs),
        "updates": updates,
        "module": "",
        "place": 0,
        "forward": -1,
        "forward_call": -1,
        "is_backward": False,
        "generator": "",
        "elsewhere": [],
    }


def trial(*operators):
    return Watched(operators=operators, places=[[]])


def test_a_result_that_reaches_no_parameter_is_not_the_first_difference():
    old = trial(operator("loss", ["x"], ["1"]), operator("update", ["1"], ["p"], updates=True))
    new = trial(
        operator("log", ["x"], ["unused"], storage=9),
        operator("loss", ["x"], ["2"]),
        operator("update", ["2"], ["q"], updates=True),
    )

    assert first_pair(old, new) == (0, 1)


def test_the_origin_of_given_contents_is_found():
    def step(drawn):
        return trial(
            operator("log", ["x"], [f"log {drawn}"], storage=9),
            operator("draw", [], [drawn]),
            operator("index", [drawn], [f"data {drawn}"]),
        )

    assert first_pair(step("1"), step("2"), (frozenset({"data 1"}), frozenset({"data 2"}))) == (1, 1)


def test_equal_scalars_of_other_operators_are_not_taken_for_the_same():
    def step(factor):
        scalar = {"shapes": ["float32[]"]}
        loss = operator("mul", ["loss"], [factor]) | scalar | {"arguments": [f"other={factor}"]}
        slope = operator("mul backward", ["1"], [factor], storage=1) | scalar | {"is_backward": True, "forward_call": 0}
        return trial(
            loss,
            slope,
            operator("square", ["x"], ["2"], storage=5),
            operator("update", [factor], [f"p{factor}"], updates=True, storage=1),
        )

    assert first_pair(step("1"), step("2")) == (0, 0)


def test_reordered_operators_are_no_difference():
    first, second = operator("a", ["x"], ["1"]), operator("b", ["x"], ["2"])

    assert first_pair(trial(first, second), trial(second, first)) == (None, None)


def test_a_trial_that_goes_on_has_no_failure():
    assert why_failed("candidate", None) == ""


def test_the_text_names_what_was_found(find):
    found = find(PLAIN)
    explanation = Explanation(
        run="r", workload="w", seed=7, baseline="0" * 40, candidate="1" * 40, difference=found, trial_s=2.0
    )

    text = render_explanation(explanation)

    assert "first difference: series loss differs first at value 2: 2.0 -> 3.0" in text
    assert "no Python file of the project changed" in text
    assert "a trial of the gate took 2.000 s" in text
