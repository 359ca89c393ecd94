"""Gates that several machines share: each shard in a clone of its own, and a judgement of nothing but files."""

import json
import shutil
import signal
import subprocess
import time

import pytest

from mainstay.store.journal import PIECES, Journal
from tests.end_to_end.settings import FORKED

PLAN = ("looks = [3, 6]", "jobs = 1", FORKED)


@pytest.fixture(scope="module")
def made(tmp_path_factory, make_project):
    """A change near its margin that takes several looks, gated on one machine and by three shards."""
    root = tmp_path_factory.mktemp("sharded")
    project = make_project(root / "repository", settings=PLAN)
    project.edit("benchmarks/test_accuracy.py", "margin=0.01", "margin=0.0002")
    project.write("benchmarks/test_times.py", "def test_sum(benchmark):\n    benchmark(sum, range(1000))\n")
    project.commit("planned")
    project.edit("src/subject/model.py", "[rng.gauss(-2, 0.5)", "[-rng.gauss(2, 0.5)")
    project.commit("changed")
    project.alone = project.gate("--only", "accuracy")
    assert project.alone.finding["num_pairs"] > 3, (
        "the first look already decides, so a shard too few would not be seen"
    )
    for number in (3, 1, 2):
        done = project.run("trials", "--shard", f"{number}/3")
        assert done.returncode == 0, done.stderr
    project.pieces = project.root / ".mainstay" / "pieces"
    return project


@pytest.fixture
def pieces(made, tmp_path):
    """A copy of the pieces, alone in a folder without a repository."""
    return shutil.copytree(made.pieces, tmp_path / "pieces")


@pytest.fixture
def judge(made, tmp_path):
    """Judges pieces in a folder that holds nothing else."""

    def judge(*places):
        done = made.run("judge", "--pieces", *map(str, places), cwd=tmp_path)
        found = sorted(tmp_path.glob(".mainstay/judgements/*/run.json"))
        return done, json.loads(found[-1].read_text()) if found else None

    return judge


def change(piece, edit):
    """Change what the lines of a piece say."""
    journal = piece / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines if edit(line) is not False))


@pytest.mark.slow
def test_shards_in_any_order_find_the_same_as_one_machine_bit_for_bit(made, judge, pieces):
    done, run = judge(*sorted(pieces.iterdir()))

    assert run["findings"] == made.alone.run["findings"], done.stderr
    assert (done.returncode, run["verdict"], run["plan"]) == (
        made.alone.status,
        made.alone.run["verdict"],
        made.alone.run["plan"],
    )
    assert {w["id"]: w["flips"] for w in run["workloads"]} == {w["id"]: w["flips"] for w in made.alone.run["workloads"]}


def test_no_pair_is_measured_by_two_shards_and_times_by_none(made, judge, pieces):
    trials = [
        line["trial"]
        for journal in pieces.glob("*/journal.jsonl")
        for line in map(json.loads, journal.read_text().splitlines())
        if line["type"] == "trial"
    ]
    keys = [(trial["workload"], trial["pair"], trial["side"], trial["repetition"]) for trial in trials]
    done, _ = judge(pieces)

    assert len(keys) == len(set(keys)) == 12
    assert {trial["workload"] for trial in trials} == {"benchmarks/test_accuracy.py::test_clouds"}
    assert "only accuracy was gated" in done.stdout
    assert "times and memory are not gated here" in done.stdout


def test_a_missing_shard_is_named_with_its_command(judge, pieces):
    shutil.rmtree(pieces / "shard-2-of-3")

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert "1 of 3 shards is missing: 2/3" in done.stderr
    assert "mainstay trials --shard 2/3" in done.stderr


def test_of_very_many_missing_shards_only_the_first_are_named(judge, pieces):
    for piece in pieces.glob("shard-*"):
        change(piece, lambda line: line.get("shard", {}).update(count=10**12))

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert "999999999997 of 1000000000000 shards are missing: 4/1000000000000, 5/" in done.stderr
    assert "23/1000000000000 and more" in done.stderr


def test_a_shard_that_was_killed_is_named_with_its_command(judge, pieces):
    change(pieces / "shard-3-of-3", lambda line: line["type"] != "measured")

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert "shard 3/3 has not ended: 4 trials are there" in done.stderr
    assert "mainstay trials --shard 3/3" in done.stderr


def other_device(line):
    if line["type"] == "basis":
        line["basis"]["machine"]["accelerator"] = "NVIDIA H200"


def other_candidate(line):
    for holder in (line, line.get("basis", {}).get("start", {})):
        if "candidate" in holder:
            holder["candidate"]["commit"] = "0" * 40


def other_version(line):
    if line["type"] == "basis":
        line["basis"]["mainstay_version"] = "9.9"


def other_dependency(line):
    if line["type"] == "basis":
        line["basis"]["environments"][0]["packages"]["numpy"] = "1.0"


def other_data(line):
    if line["type"] == "basis":
        line["basis"]["inputs"]["data"] = "0" * 64


def other_settings(line):
    if line["type"] == "basis":
        line["basis"]["margins"]["settings"][0]["margins"]["top1_accuracy"] = 0.5


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (other_device, "the kind of device"),
        (other_candidate, "the candidate"),
        (other_version, "the version of mainstay"),
        (other_dependency, "the dependencies: numpy of the baseline is absent and 1.0"),
        (other_data, "the data: data"),
        (other_settings, "the settings"),
    ],
)
def test_pieces_of_other_conditions_are_refused(judge, pieces, edit, words):
    change(pieces / "shard-2-of-3", edit)

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert f"shard 1/3 and shard 2/3 differ in {words}" in done.stderr
    assert "shard-2-of-3" in done.stderr
    assert "next:" in done.stderr


def test_a_piece_that_lacks_a_pair_is_refused(judge, pieces):
    change(pieces / "shard-2-of-3", lambda line: line.get("trial", {}).get("pair") != 1)

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert "shard 2/3 lacks pair 1 of benchmarks/test_accuracy.py::test_clouds" in done.stderr


def test_pieces_that_recorded_another_device_are_refused(judge, pieces):
    for number, device in ((1, "cpu"), (2, "cuda"), (3, "cpu")):
        change(
            pieces / f"shard-{number}-of-3",
            lambda line, device=device: line.get("trial", {}).get("context", {}).update(device=device),
        )

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    name = "benchmarks/test_accuracy.py::test_clouds"
    assert f"shard 1/3 and shard 2/3 recorded another device of {name}: cpu and cuda" in done.stderr


def test_a_context_that_changes_from_pair_to_pair_is_no_difference_of_shards(made, judge, pieces):
    def hold_out(line):
        if trial := line.get("trial"):
            trial["context"]["fold"] = trial["pair"]

    for piece in pieces.glob("shard-*"):
        change(piece, hold_out)

    done, run = judge(pieces)

    assert run["findings"] == made.alone.run["findings"], done.stderr


def without_values(line):
    line.get("trial", {}).update(values={})


def without_a_prediction(line):
    if predictions := line.get("trial", {}).get("predictions"):
        predictions["predicted"] = ""


def with_predictions_of_no_code(line):
    if predictions := line.get("trial", {}).get("predictions"):
        predictions["predicted"] = "?"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (without_values, "top1_accuracy was not recorded"),
        (without_a_prediction, "it has 0 predictions for"),
        (with_predictions_of_no_code, "recorded predictions are not base64"),
    ],
)
def test_a_piece_with_a_trial_that_cannot_be_judged_is_refused_by_its_name(judge, pieces, edit, words):
    change(pieces / "shard-2-of-3", edit)

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert "shard 2/3 lacks pair 1 of benchmarks/test_accuracy.py::test_clouds on the " in done.stderr
    assert words in done.stderr
    assert "mainstay trials --shard 2/3" in done.stderr


def of_another_version(line):
    if line["type"] == "start":
        line["version"] = 99


def of_an_unknown_side(line):
    line.get("trial", {}).update(side="middle")


@pytest.mark.parametrize("edit", [of_another_version, of_an_unknown_side, None], ids=["version", "side", "cut"])
def test_a_piece_that_cannot_be_read_is_named_where_it_lies_with_the_command_of_its_shard(judge, pieces, edit):
    piece = pieces / "shard-2-of-3"
    if edit is None:
        lines = (piece / "journal.jsonl").read_text().splitlines(keepends=True)
        (piece / "journal.jsonl").write_text("".join([lines[0], lines[1][:50], "\n", *lines[2:]]))
    else:
        change(piece, edit)

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert f"looked in: {piece / 'journal.jsonl'}" in done.stderr
    assert "next: remove the folder, and measure again: mainstay trials --shard 2/3" in done.stderr


def test_a_piece_without_a_first_line_is_named_where_it_lies(judge, pieces):
    journal = pieces / "shard-2-of-3" / "journal.jsonl"
    journal.write_text("{\n" + journal.read_text())

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert f"looked in: {journal}" in done.stderr
    assert "measure its shard again with 'mainstay trials'" in done.stderr


@pytest.mark.slow
def test_more_pairs_than_the_last_look_are_refused_for_a_new_and_for_an_existing_piece(made, tmp_path):
    place = tmp_path / "beyond"
    command = ("trials", "--shard", "2/3", "--output", str(place), "--up-to", "7")
    new = made.run(*command)
    shutil.copytree(made.pieces, place, dirs_exist_ok=True)
    existing = made.run(*command)

    assert (new.returncode, existing.returncode) == (2, 2), new.stderr + existing.stderr
    for done in (new, existing):
        assert "--up-to 7 is more than the 6 pairs of the last look" in done.stderr
        assert "fault of mainstay" not in done.stderr


def test_pieces_whose_plan_does_not_fit_their_workloads_are_refused(judge, pieces):
    def drop_metrics(line):
        for assignment in line.get("basis", {}).get("agenda", {}).get("assignments", ()):
            assignment["workload"]["metrics"] = []

    for piece in pieces.iterdir():
        if piece.is_dir():
            change(piece, drop_metrics)

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert "holds a plan that does not fit its workloads" in done.stderr


def test_a_shard_that_was_extended_stays_spoiled_by_what_its_workers_changed_before(judge, pieces):
    journal = pieces / "shard-2-of-3" / "journal.jsonl"
    ending = journal.read_text().splitlines(keepends=True)[-1]
    change(journal.parent, lambda line: line.get("ending", {}).update(tampering=["the shared input data"]))
    journal.write_text(journal.read_text() + ending)

    done, run = judge(pieces)

    assert (done.returncode, {each["verdict"] for each in run["findings"]}) == (1, {"error"}), done.stderr
    assert "on shard 2/3: the shared input data" in run["findings"][0]["reason"]


def test_a_shard_stays_spoiled_by_what_its_workers_changed_before_it_was_interrupted(judge, pieces):
    journal = Journal(pieces / "shard-2-of-3" / "journal.jsonl", PIECES)
    journal.append("attempt", is_confined=False)
    journal.append("checked", tampering=["the shared input data"])

    done, run = judge(pieces)

    assert (done.returncode, {each["verdict"] for each in run["findings"]}) == (1, {"error"}), done.stderr
    assert "on shard 2/3: the shared input data" in run["findings"][0]["reason"]


def test_notes_of_a_shard_name_it(judge, pieces):
    def note(line):
        if line["type"] == "measured":
            line["ending"]["notes"] = ["1 trial does not count"]

    change(pieces / "shard-2-of-3", note)
    change(pieces / "shard-3-of-3", note)

    _, run = judge(pieces)

    assert [text for text in run["notes"] if "does not count" in text] == [
        "on shard 2/3: 1 trial does not count",
        "on shard 3/3: 1 trial does not count",
    ]


def test_a_shard_that_was_killed_where_workers_are_not_confined_has_measured_nothing(judge, pieces):
    def unconfine(line):
        if line["type"] == "attempt":
            line["is_confined"] = False
        return line["type"] not in {"checked", "measured"}

    change(pieces / "shard-3-of-3", unconfine)

    done, run = judge(pieces)

    assert (done.returncode, run) == (4, None)
    assert "shard 3/3 has not ended: 0 trials are there" in done.stderr


def test_a_piece_twice_a_folder_without_pieces_and_settings_of_stored_results_are_refused(
    judge, pieces, made, tmp_path
):
    shutil.copytree(pieces / "shard-1-of-3", pieces / "again")
    twice, _ = judge(pieces)
    nothing, _ = judge(tmp_path / "pieces" / "shard-1-of-3" / "..", tmp_path / "absent")
    empty = tmp_path / "empty"
    empty.mkdir()
    none, _ = judge(empty)
    margin = made.run("judge", "--pieces", str(pieces), "--margin", "0.1", cwd=tmp_path)

    assert (twice.returncode, nothing.returncode, none.returncode, margin.returncode) == (4, 2, 2, 2)
    assert "shard 1/3 is there twice" in twice.stderr
    assert "no such folder" in nothing.stderr
    assert "no pieces there" in none.stderr
    assert "--margin is for stored results" in margin.stderr


@pytest.mark.slow
def test_pieces_up_to_a_look_are_judged_there_and_can_be_extended(made, judge, tmp_path):
    place = tmp_path / "some"
    made.run("trials", "--shard", "1/2", "--output", str(place), "--up-to", "3")
    lacking, _ = judge(place)
    made.run("trials", "--shard", "2/2", "--output", str(place), "--up-to", "3")
    early, run_early = judge(place)
    for shard in ("1/2", "2/2"):
        made.run("trials", "--shard", shard, "--output", str(place))
    _, run = judge(place)

    assert f"next: measure it: mainstay trials --shard 2/2 --output {place}" in lacking.stderr
    assert early.returncode == 3, early.stderr
    assert run_early["findings"][0]["num_pairs"] == 3
    assert "the pieces end at 3 pairs, before the look at 6 pairs; the last completed look stands" in early.stdout
    assert "run each shard again with '--up-to 6', then judge again" in " ".join(early.stdout.split())
    assert "$ mainstay gate" not in early.stdout
    assert run_early["shards"] == {"count": 2, "num_pairs": 3, "cut": []}
    assert run["findings"] == made.alone.run["findings"]


@pytest.mark.slow
def test_a_killed_shard_goes_on_where_it_was_and_measures_nothing_twice(made, judge, tmp_path):
    place = tmp_path / "killed"
    command = made.command("trials", "--shard", "1/1", "--output", str(place))
    process = subprocess.Popen(command, cwd=made.root, env=made.environ, stdout=subprocess.PIPE, text=True)
    journal = place / "shard-1-of-1" / "journal.jsonl"
    while not journal.exists() or journal.read_text().count('"trial":') < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    interrupted, _ = judge(place)
    done = made.run("trials", "--shard", "1/1", "--output", str(place))
    keys = [
        (line["trial"]["pair"], line["trial"]["side"], line["trial"]["repetition"])
        for line in Journal(journal, PIECES).standing()
        if line["type"] == "trial"
    ]
    _, run = judge(place)

    assert interrupted.returncode == 4
    assert "has not ended" in interrupted.stderr
    assert done.returncode == 0, done.stderr
    assert len(keys) == len(set(keys)) == 12
    assert run["findings"] == made.alone.run["findings"]


@pytest.mark.slow
def test_a_piece_of_other_revisions_is_not_continued(made, tmp_path):
    place = tmp_path / "other"
    first = made.run("trials", "--shard", "1/6", "--output", str(place))
    again = made.run("trials", "--shard", "1/6", "--output", str(place), "--candidate", "HEAD~1")

    assert first.returncode == 0, first.stderr
    assert again.returncode == 2
    assert "other revisions or options" in again.stderr


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b"])
def test_what_is_no_shard_is_wrong_usage(made, shard):
    done = made.run("trials", "--shard", shard)

    assert done.returncode == 2
    assert "is not a shard" in done.stderr


@pytest.mark.slow
@pytest.mark.settings(FORKED)
def test_a_harmless_change_passes_exactly_on_the_first_two_pairs(project, tmp_path):
    project.edit("src/subject/evaluate.py", "first == second", "second == first")
    alone = project.gate("--only", "accuracy")
    for shard in ("1/2", "2/2"):  # the first piece is not a part of the second candidate
        project.run("trials", "--shard", shard, "--up-to", "2", "--output", "pieces")
    done = project.run("judge", "--pieces", "pieces")
    (file,) = (project.root / ".mainstay" / "judgements").glob("*/run.json")

    assert (done.returncode, alone.status) == (0, 0), done.stderr
    assert json.loads(file.read_text())["findings"] == alone.run["findings"]


@pytest.mark.slow
def test_a_candidate_that_breaks_is_the_same_error_for_shards(project):
    project.edit("benchmarks/test_accuracy.py", "    weights = model.fit(trial.seed)", BREAKS)
    project.commit("it can break")
    project.edit("src/subject/model.py", "NUM_EPOCHS = 2", "NUM_EPOCHS = 3")
    alone = project.gate("--only", "accuracy")
    for shard in ("1/2", "2/2"):
        project.run("trials", "--shard", shard)
    done = project.run("judge", "--pieces", ".mainstay/pieces")
    (file,) = (project.root / ".mainstay" / "judgements").glob("*/run.json")

    (finding,) = json.loads(file.read_text())["findings"]
    assert (done.returncode, alone.status) == (1, 1), done.stderr
    assert {**finding, "detail": []} == {**alone.finding, "detail": []}  # pytest says how long it took
    assert finding["detail"]


BREAKS = "    assert model.NUM_EPOCHS == 2 or trial.seed % 3\n    weights = model.fit(trial.seed)"
