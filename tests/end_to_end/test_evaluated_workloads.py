"""Gates of a model that is not trained: the same questions put to both revisions, in a real repository, without torch."""

import json

import pytest

from tests.end_to_end.settings import FORKED

ENGINE = '''
"""An engine that adds numbers."""


NUM_QUESTIONS = 1500


def answer(question):
    first, second = map(int, question.split("+"))
    return str(first + second) if first % 10 < 7 else "unknown"
'''

WORKLOAD = """
import pytest

from subject import engine

QUESTIONS = {f"q{number}": f"{number} + {number * number % 97}" for number in range(engine.NUM_QUESTIONS)}


def right(name, given):
    first, second = map(int, QUESTIONS[name].split("+"))
    return None if given == "timeout" else given == str(first + second)


@pytest.mark.evaluation(metric="correct", margin=0.02)
def test_sums(trial):
    answers = {name: engine.answer(question) for name, question in QUESTIONS.items()}
    scores = [right(*each) for each in answers.items()]
    trial.record_examples("correct", scores, ids=list(answers), outputs=list(answers.values()))
    trial.record_context(dataset="sums")


@pytest.mark.evaluation(metric="correct", margin=0.02, looks=(0.1, 0.25, 0.5, 1.0))
def test_sums_in_looks(trial):
    ids = list(QUESTIONS)
    chosen = [ids[position] for position in trial.choose(ids)]
    answers = [engine.answer(QUESTIONS[name]) for name in chosen]
    scores = [right(*each) for each in zip(chosen, answers)]
    trial.record_examples("correct", scores, inputs=[QUESTIONS[name] for name in chosen], outputs=answers)
"""

AT_ONCE, IN_LOOKS = (f"benchmarks/test_sums.py::{name}#correct" for name in ("test_sums", "test_sums_in_looks"))


@pytest.fixture(scope="module")
def first_project(tmp_path_factory, make_project):
    """A project whose only workload is an evaluation."""
    project = make_project(tmp_path_factory.mktemp("evaluated") / "repository", settings=(FORKED,))
    (project.root / "benchmarks" / "test_accuracy.py").unlink()
    project.write("src/subject/engine.py", ENGINE)
    project.write("benchmarks/test_sums.py", WORKLOAD)
    project.commit("evaluate")
    return project


@pytest.fixture
def evaluated(first_project):
    """The project as committed."""
    first_project.git("checkout", "-q", "-f", "main")
    first_project.git("clean", "-q", "-fd", "-e", ".mainstay")
    return first_project


def trials_of(project):
    """What the journal of the latest gate says was scored."""
    journal = max((project.root / ".mainstay" / "runs").glob("*/journal.jsonl"))
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [line["trial"] for line in lines if line["type"] == "trial"]


def findings_of(result):
    return {f"{each['metric']['workload']}#{each['metric']['name']}": each for each in result.run["findings"]}


@pytest.mark.slow
def test_identical_outputs_pass_although_every_seed_gives_the_same(evaluated):
    evaluated.edit("src/subject/engine.py", "first + second", "second + first")

    result = evaluated.gate("--html", "r.html", "--junit", "r.xml", "--markdown", "r.md")

    assert (result.status, result.verdicts) == (0, {AT_ONCE: "pass", IN_LOOKS: "pass"}), result.stdout + result.stderr
    findings = findings_of(result)
    assert findings[AT_ONCE]["reason"] == "identical outputs on 1,500 items"
    assert (findings[IN_LOOKS]["num_looks"], findings[IN_LOOKS]["num_pairs"]) == (2, 375)


def test_a_clear_loss_fails_at_the_first_look_and_shows_what_was_lost(evaluated):
    evaluated.edit("src/subject/engine.py", "first % 10 < 7", "first % 10 < 4")

    result = evaluated.gate("--html", "r.html", "--junit", "r.xml", "--markdown", "r.md")

    assert (result.status, result.verdicts) == (1, {AT_ONCE: "fail", IN_LOOKS: "fail"}), result.stdout + result.stderr
    finding = findings_of(result)[IN_LOOKS]
    assert (finding["num_looks"], finding["num_pairs"]) == (1, 150)
    scored = [(trial["side"], trial["pair"]) for trial in trials_of(evaluated) if "looks" in trial["workload"]]
    assert sorted(scored) == [("baseline", 0), ("baseline", 0), ("candidate", 0)]
    for name in ("r.html", "r.xml", "r.md"):
        report = (evaluated.root / name).read_text()
        assert "unknown" in report
        assert "the baseline alone 0.0 %" in report
    assert "1 -> 0, asks" in result.stdout


@pytest.mark.slow
def test_answers_that_time_out_count_as_wrong_and_too_many_are_an_error(evaluated):
    evaluated.edit("src/subject/engine.py", 'else "unknown"', 'else "timeout"')
    few = evaluated.gate()
    assert (few.status, few.verdicts) == (1, {AT_ONCE: "error", IN_LOOKS: "error"}), few.stdout + few.stderr
    assert "of the candidate" in few.run["findings"][0]["reason"]


@pytest.mark.slow
def test_other_items_are_an_error_that_names_the_first(evaluated):
    evaluated.edit("src/subject/engine.py", "1500", "1499")

    result = evaluated.gate()

    assert (result.status, set(result.verdicts.values())) == (1, {"error"}), result.stdout + result.stderr
    assert "the candidate lacks item 'q1499': both sides" in result.stdout
    assert "the baseline chooses from 1,500 items, the candidate from 1,499" in result.stdout


@pytest.mark.slow
def test_shards_score_the_same_as_one_machine(evaluated):
    evaluated.edit(
        "src/subject/engine.py", "first % 10 < 7", "first % 10 < 7 and first % 199"
    )  # a loss near the margin
    alone = evaluated.gate("--only", "accuracy")
    pieces = evaluated.root / ".mainstay" / "pieces"
    for shard in ("2/2", "1/2"):
        done = evaluated.run("trials", "--shard", shard)
        assert done.returncode == 0, done.stderr
    judged = evaluated.run("judge", "--pieces", str(pieces))
    (file,) = (evaluated.root / ".mainstay" / "judgements").glob("*/run.json")

    assert findings_of(alone)[IN_LOOKS]["num_looks"] > 1
    assert (judged.returncode, json.loads(file.read_text())["findings"]) == (alone.status, alone.run["findings"])


@pytest.mark.slow
def test_a_shard_whose_evaluation_was_cut_goes_on_with_the_same_command(evaluated, tmp_path):
    evaluated.edit("src/subject/engine.py", "first % 10 < 7", "first % 10 < 7 and first % 199")
    alone = evaluated.gate("--only", "accuracy")
    pieces = tmp_path / "pieces"
    command = ("trials", "--shard", "1/1", "--up-to", "2", "--output", str(pieces))
    evaluated.run(*command)
    journal = pieces / "shard-1-of-1" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    kept = [line for line in lines if line.get("trial", {}).get("pair", 0) == 0]
    for line in kept:
        if line["type"] == "measured":
            line["ending"]["is_complete"] = False
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in kept))

    cut = evaluated.run("judge", "--pieces", str(pieces), cwd=tmp_path)
    went_on = evaluated.run(*command)
    judged = evaluated.run("judge", "--pieces", str(pieces), "--json", "judged.json", cwd=tmp_path)

    told = " ".join(cut.stdout.split())
    assert cut.returncode == 3, cut.stderr
    assert "the time was used up before all items were scored; the last completed look stands" in told
    assert "run the command of each shard whose time was used up again (1/1), then judge again" in told
    assert went_on.returncode == 0, went_on.stderr
    assert "complete up to 2 pairs" in went_on.stdout
    assert "run the same command again" not in went_on.stdout
    findings = json.loads((tmp_path / "judged.json").read_text())["findings"]
    assert (judged.returncode, findings) == (alone.status, alone.run["findings"])


@pytest.mark.slow
def test_a_gate_that_was_killed_after_its_first_look_scores_nothing_twice(evaluated):
    evaluated.edit("src/subject/engine.py", "first + second", "first + second + (first % 150 == 0)")
    whole = evaluated.gate()
    folder = max((evaluated.root / ".mainstay" / "runs").iterdir())
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    num_scored = sum('"type": "trial"' in line for line in lines)
    kept = [line for line in lines if '"type": "finish"' not in line and '"pair": 1' not in line]
    (folder / "journal.jsonl").write_text("".join(kept))
    (folder / "run.json").unlink()

    resumed = evaluated.gate("--resume")

    assert (resumed.status, resumed.verdicts) == (whole.status, whole.verdicts), resumed.stdout + resumed.stderr
    assert len(trials_of(evaluated)) == num_scored
    assert resumed.run["findings"] == whole.run["findings"]


@pytest.mark.slow
def test_calibrate_tells_the_smallest_honest_margin_and_refuses_smaller_ones(evaluated):
    evaluated.edit("benchmarks/test_sums.py", "margin=0.02)", "margin=0.0005)")

    done = evaluated.run("calibrate", "--json", "c.json")

    assert done.returncode == 1, done.stdout + done.stderr
    noises = json.loads((evaluated.root / "c.json").read_text())["evaluations"]
    assert [(each["num_items"], each["num_flips"], bool(each["refusal"])) for each in noises] == [
        (1500, 0, True),
        (1500, 0, False),
    ]
    assert 0.0005 < noises[0]["supported_margin"] < 0.02
    assert "refused: benchmarks/test_sums.py::test_sums#correct" in done.stdout
