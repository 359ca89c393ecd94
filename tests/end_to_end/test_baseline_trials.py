"""Second gates on one baseline: what they reuse, and what they measure anew."""

import functools
import json
import shutil

import pytest

from tests.brief_warm_up import BRIEF_WARM_UP
from tests.end_to_end.settings import FORKED, ONE_LOOK

pytestmark = pytest.mark.settings(FORKED, ONE_LOOK)

OTHER_NUMERICS = ("[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")
TIMED = "\n\ndef test_sum(benchmark):\n    benchmark(sum, range(1000))\n"


def change_words(project):
    """Change nothing that is computed."""
    project.edit("src/subject/model.py", "in plain Python", "by hand")


def change_numerics(project):
    """Change every weight, and no accuracy beyond its margin."""
    project.edit("src/subject/model.py", *OTHER_NUMERICS)


@pytest.fixture(scope="module")
def gated_projects(tmp_path_factory, make_project):
    """Projects that were gated once after a change, made when they are first asked for."""

    @functools.cache
    def gated(change):
        project = make_project(tmp_path_factory.mktemp("gated") / "repository", settings=(FORKED, ONE_LOOK))
        change(project)
        project.gate()
        return project

    return gated


@pytest.fixture
def gated_after(project, gated_projects):
    """The project of the test as a copy of one that was gated once after a change."""

    def gated_after(change):
        shutil.rmtree(project.root)
        shutil.copytree(gated_projects(change).root, project.root, symlinks=True)
        return project

    return gated_after


def trials_in_journal(project):
    """The trials in the latest journal."""
    journal = max((project.root / ".mainstay" / "runs").glob("*/journal.jsonl"))
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [line["trial"] for line in lines if line["type"] == "trial"]


def measured(project):
    """Workload, pair, side and repetition of the trials in the latest journal."""
    trials = trials_in_journal(project)
    return sorted((t["workload"].rpartition("::")[2], t["pair"], t["side"], t["repetition"]) for t in trials)


def of_baseline(trials):
    return [(pair, repetition) for _, pair, side, repetition in trials if side == "baseline"]


def reuse_notes(result):
    return notes_on_reuse(result.run)


def notes_on_reuse(run):
    return [note for note in run["notes"] if "reused from run" in note]


def test_a_second_gate_measures_only_its_candidate_and_finds_the_same(gated_after):
    project = gated_after(change_numerics)
    first = project.latest_run()
    assert of_baseline(measured(project)) == [(0, 0), (0, 1), (1, 0), (2, 0)]

    second = project.gate("--markdown", "report.md", "--html", "report.html")

    assert of_baseline(measured(project)) == []
    assert [side for _, _, side, _ in measured(project)] == ["candidate"] * 3
    for key in ("findings", "verdict"):
        assert second.run[key] == first[key]
    (was,), (now,) = first["workloads"], second.run["workloads"]
    assert (now["flips"], now["curves"], now["num_pairs"]) == (was["flips"], was["curves"], was["num_pairs"])
    assert now["seconds"] == pytest.approx(sum(trial["duration_s"] for trial in trials_in_journal(project)))
    (note,) = reuse_notes(second)
    assert f"4 baseline trials were reused from run {first['id']}" in note
    assert "correlated" in note
    assert "--fresh" in note
    assert notes_on_reuse(first) == []
    for place in ("report.md", "report.html"):
        assert "reused from run" in (project.root / place).read_text()
    assert "reused from run" in second.stdout


@pytest.mark.slow
def test_an_exact_gate_reuses_its_repetition_too(gated_after):
    project = gated_after(change_words)
    project.edit("src/subject/model.py", "by hand", "by heart")

    result = project.gate()

    assert measured(project) == [("test_clouds", pair, "candidate", 0) for pair in range(2)]
    assert (result.finding["verdict"], result.finding["method"]) == ("pass", "exact")
    assert "3 baseline trials were reused" in reuse_notes(result)[0]


@pytest.mark.slow
def test_a_gate_with_other_numerics_goes_on_where_an_exact_one_ended(gated_after):
    project = gated_after(change_words)
    change_numerics(project)

    project.gate()

    assert of_baseline(measured(project)) == [(2, 0)]


@pytest.mark.slow
def test_fresh_seeds_reuse_nothing_and_keep_nothing(gated_after):
    project = gated_after(change_numerics)
    kept = sorted(file.name for file in (project.root / ".mainstay" / "baselines").glob("*.jsonl"))

    result = project.gate("--fresh")

    assert of_baseline(measured(project)) == [(0, 0), (1, 0), (2, 0)]
    assert reuse_notes(result) == []
    assert sorted(file.name for file in (project.root / ".mainstay" / "baselines").glob("*.jsonl")) == kept


def write_prepare(project, *, data):
    """Let ``prepare`` write a file of data to the scratch folder and name it."""
    script = f"open('data.txt', 'w').write({data!r}); import os; print('DATA=' + os.path.abspath('data.txt'))"
    (project.root / "prepare.py").write_text(script)


@pytest.mark.slow
def test_under_other_conditions_everything_is_measured_anew(project):
    project.write("constraints.txt", "pytest<9.1\n")
    project.write(".gitignore", "shared.txt\nprepare.py\n")
    project.write("shared.txt", "some")
    settings = 'constraints = ["constraints.txt"]\nshare = ["shared.txt"]\nprepare = ["python", "{}/prepare.py"]'
    project.edit("pyproject.toml", "looks = [3]", f"looks = [3]\n{settings.format(project.root)}")
    write_prepare(project, data="some")
    project.commit("all that can change")
    change_numerics(project)
    project.gate()
    project.gate()
    assert of_baseline(measured(project)) == []
    changes = {
        "variable": lambda: project.environ.update(NVIDIA_TF32_OVERRIDE="0"),
        "dependency": lambda: project.write("constraints.txt", "pytest<9.1\niniconfig<2.1\n"),
        "shared": lambda: project.write("shared.txt", "other"),
        "prepared": lambda: write_prepare(project, data="other"),
    }

    for change, make in changes.items():
        make()
        result = project.gate()

        assert len(of_baseline(measured(project))) == 4, change
        assert reuse_notes(result) == [], change


@pytest.mark.slow
def test_trials_are_reused_by_the_files_that_they_ran_with(project):
    added = "benchmarks/test_added.py"
    project.write(added, (project.root / "benchmarks/test_accuracy.py").read_text().replace("clouds(", "added("))
    change_numerics(project)
    project.gate()
    project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=0.02")
    project.edit(added, "margin=0.01", "margin=0.02")

    project.gate()

    assert {trial[0] for trial in measured(project) if trial[2] == "baseline"} == {"test_added"}


@pytest.mark.slow
def test_a_nondeterministic_baseline_is_not_reused_and_asked_only_once(project):
    project.edit("src/subject/model.py", "rng = random.Random(seed)", "rng = random.SystemRandom()")
    project.commit("unsteady")
    change_numerics(project)
    first = project.gate()
    assert (0, 1) in of_baseline(measured(project))
    assert any("not deterministic" in note for note in first.run["notes"])

    second = project.gate()

    assert of_baseline(measured(project)) == [(0, 0), (1, 0), (2, 0)]
    assert reuse_notes(second) == []


@pytest.mark.slow
def test_a_baseline_without_a_digest_is_neither_repeated_nor_reused(project):
    project.edit("benchmarks/test_accuracy.py", '    trial.record_digest({"weights": weights})\n', "")
    project.commit("no digest")
    change_numerics(project)

    for _ in range(2):
        project.gate()

        assert of_baseline(measured(project)) == [(0, 0), (1, 0), (2, 0)]


@pytest.mark.slow
def test_times_are_never_reused(project):
    project.write("benchmarks/test_accuracy.py", (project.root / "benchmarks/test_accuracy.py").read_text() + TIMED)
    project.write("benchmarks/conftest.py", BRIEF_WARM_UP)
    project.edit("pyproject.toml", "looks = [3]", "looks = [3]\npair_seconds = 0.1")
    project.commit("time it")
    change_numerics(project)
    project.gate()

    project.gate()

    assert {trial[0] for trial in measured(project) if trial[2] == "baseline"} == {"test_sum"}
    assert len([trial for trial in measured(project) if trial[0] == "test_sum"]) == 6


@pytest.mark.slow
def test_data_that_only_the_workload_names_are_seen_to_have_changed(project, tmp_path):
    data = tmp_path / "offset.txt"
    data.write_text("0")
    project.edit("benchmarks/test_accuracy.py", 'dataset="clouds"', f'dataset="clouds", offset=open("{data}").read()')
    project.commit("data elsewhere")
    change_numerics(project)
    first = project.gate()
    data.write_text("1")

    second = project.gate()

    assert of_baseline(measured(project)) == [(0, 0), (0, 1), (1, 0), (2, 0)]
    assert second.finding["verdict"] == first.finding["verdict"] != "error"
    assert reuse_notes(second) == []
    project.gate()
    assert of_baseline(measured(project)) == []


@pytest.mark.slow
def test_damaged_trials_are_measured_anew_and_replaced(gated_after):
    project = gated_after(change_numerics)
    (file,) = (project.root / ".mainstay" / "baselines").glob("*.jsonl")
    whole = file.read_text()
    file.write_text(whole.replace("completed", "compl", 1))

    result = project.gate()

    assert any("damaged" in note for note in result.run["notes"])
    assert len(of_baseline(measured(project))) == 4
    assert project.gate().verdicts == result.verdicts
    assert of_baseline(measured(project)) == []


def interrupt_after_the_first_trial(project):
    """Leave the latest run as if it had been killed, and nothing of what is kept."""
    journal = max((project.root / ".mainstay" / "runs").glob("*/journal.jsonl"))
    lines = journal.read_text().splitlines(keepends=True)
    first_trial = next(number for number, line in enumerate(lines) if json.loads(line)["type"] == "trial")
    journal.write_text("".join(lines[: first_trial + 1]))
    journal.with_name("run.json").unlink()
    shutil.rmtree(project.root / ".mainstay" / "baselines")


@pytest.mark.slow
def test_a_resumed_gate_reuses_what_it_had_begun_with_but_not_under_other_conditions(gated_after):
    project = gated_after(change_numerics)
    expected = project.gate()
    interrupt_after_the_first_trial(project)

    resumed = project.gate("--resume")

    assert of_baseline(measured(project)) == []
    assert resumed.run["findings"] == expected.run["findings"]
    assert reuse_notes(resumed) == reuse_notes(expected)

    project.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    interrupt_after_the_first_trial(project)

    resumed = project.gate("--resume")

    assert of_baseline(measured(project)) == [(0, 0), (1, 0), (2, 0)]
    assert reuse_notes(resumed) == []
    assert not (project.root / ".mainstay" / "baselines").exists()
