"""A run of Inspect, made here: every sample, epoch, score, error and datum of its logs is read."""

import math
from importlib.metadata import version

import pytest

from mainstay.evaluation.formats import read_scores
from mainstay.evaluation.items import pair_scores

LONG = 6_000
"""More letters than Inspect keeps of a prompt in the summaries of an archive."""

PROGRAM = f'''
import re
import sys

import tiktoken


class Words:
    """Stands in for a table of tokens, which would be downloaded."""

    def encode(self, text, **options):
        return text.split()

    encode_ordinary = encode


tiktoken.get_encoding = tiktoken.encoding_for_model = lambda name: Words()

from inspect_ai import Epochs, Task, eval, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, get_model
from inspect_ai.scorer import Score, match, mean, scorer
from inspect_ai.solver import generate, solver


def answer(input, tools, tool_choice, config):
    number = int(re.search(r"is (\\d+)\\+", input[-1].text).group(1))
    return ModelOutput.from_content("mockllm/model", str(2 * number + (number % 3 == 0)) + " x" * {LONG} * (number == 2))


@solver
def flaky():
    async def solve(state, generate):
        if state.sample_id == "q/3" and state.epoch == 2:
            raise RuntimeError("made-up timeout")
        return state

    return solve


@scorer(metrics=[mean()])
def graded():
    async def score(state, target):
        number = int(state.sample_id.removeprefix("q/"))
        return Score(value=float("nan") if number == 5 else number / 10, explanation="why " * 2000)

    return score


@scorer(metrics={{"short": [mean()], "polite": [mean()]}})
def style():
    async def score(state, target):
        return Score(value={{"short": 1, "polite": 0.25}})

    return score


@task
def arithmetic():
    samples = [
        Sample(
            id=f"q/{{i}}",
            input=f"What is {{i}}+{{i}}?" if i != 4 else "a" * {LONG} + f" What is {{i}}+{{i}}?",
            target=str(2 * i),
            metadata={{"passage": f"p{{i // 2}}" if i != 6 else "p" * {LONG}, "größe": i}},
        )
        for i in range(1, 9)
    ]
    return Task(
        dataset=samples,
        solver=[flaky(), generate()],
        scorer=[match(location="begin"), graded(), style()],
        epochs=Epochs(3, "mean"),
    )


eval(
    arithmetic(),
    model=get_model("mockllm/model", custom_outputs=answer, memoize=False),
    log_dir=sys.argv[1],
    log_format=sys.argv[1],
    display="none",
    max_samples=1,
    fail_on_error=False,
)
'''


@pytest.fixture(scope="module", params=["eval", "json"])
def log(request, tmp_path_factory, run_tool):
    """A log of one run, in each of the two forms."""
    folder = tmp_path_factory.mktemp("inspect")
    (folder / "run.py").write_text(PROGRAM, "utf-8")
    run_tool(folder, "inspect_ai", "run.py", request.param)
    (file,) = (folder / request.param).iterdir()
    return file


def told_by_inspect(log):
    """What Inspect itself reads from its log."""
    from inspect_ai.log import read_eval_log

    return read_eval_log(str(log))


def test_every_sample_is_read_as_inspect_reads_it(log):
    theirs = {(str(sample.id), sample.epoch - 1): sample for sample in told_by_inspect(log).samples}

    items = read_scores(log, cluster="passage").items

    scorers = {"match", "graded", "style.short", "style.polite"}
    assert {item.task for item in items} == {f"arithmetic#{name}" for name in scorers}
    assert len(items) == len(scorers) * len(theirs) == 4 * 24
    for item in items:
        sample, scorer = theirs[item.id, item.repeat], item.task.removeprefix("arithmetic#")
        assert item.cluster == sample.metadata["passage"]
        if sample.error:
            assert (item.score, item.error) == (None, sample.error.message)
            continue
        assert item.error == ""
        name, _, part = scorer.partition(".")
        value = sample.scores[name].value[part] if part else sample.scores[name].value
        value = {"C": 1.0, "I": 0.0}.get(value, value)
        assert item.score == (None if math.isnan(value) else value)
    assert sum(item.score is None for item in items if item.task == "arithmetic#match") == 1
    assert sum(item.score is None for item in items if item.task == "arithmetic#graded") == 1 + 3


def test_prompts_and_answers_are_told_apart_to_their_last_letter(log):
    theirs = told_by_inspect(log)
    items = [item for item in read_scores(log).items if item.task == "arithmetic#match" and not item.error]
    answers = {(str(sample.id), sample.epoch - 1): sample.output.completion for sample in theirs.samples}

    assert len(max(answers.values(), key=len)) > 6_000
    for one in items:
        for other in items:
            same = answers[one.id, one.repeat] == answers[other.id, other.repeat]
            assert (one.digest == other.digest) == same
            assert (one.prompt == other.prompt) == (one.id == other.id)


def test_what_the_header_says_of_the_run_is_told(log):
    facts = read_scores(log).facts

    assert facts["package inspect_ai"] == version("inspect-ai")
    assert facts["model"] == "mockllm/model"
    assert facts["status"] == told_by_inspect(log).status == "success"


def test_both_forms_say_the_same(log, tmp_path):
    from inspect_ai.log import read_eval_log, write_eval_log

    other = tmp_path / f"converted.{'json' if log.suffix == '.eval' else 'eval'}"
    write_eval_log(read_eval_log(str(log)), str(other))

    one, two = read_scores(log, cluster="passage"), read_scores(other, cluster="passage")

    assert set(one.items) == set(two.items)
    assert len(pair_scores(one, two)) == 4
