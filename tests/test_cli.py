import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from mainstay import cli
from mainstay.commands import calibrate
from mainstay.commands import doctor as examination
from mainstay.commands import gate as gating
from mainstay.commands import init as adopting
from mainstay.commands.outcome import RunOutcome
from mainstay.records.errors import EnvironmentBuildError, GitError, Interrupted, UsageError
from mainstay.records.findings import Verdict
from mainstay.reports.forms import FORMS
from mainstay.store.documents import run_to_json

HEAVY = {"numpy", "scipy", "torch", "jinja2", "rich", "cattrs", "jsonschema_rs"}


def modules_after(*arguments, cwd):
    """Top-level modules that a command imports, and its exit status."""
    code = (
        "import sys, json\nfrom mainstay import cli\n"
        f"status = cli.run({list(arguments)!r})\n"
        "print(json.dumps([status, sorted({name.partition('.')[0] for name in sys.modules})]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd, env=dict(os.environ)
    )
    status, modules = json.loads(done.stderr.splitlines()[-1])
    return status, set(modules)


def test_help_imports_nothing_heavy(tmp_path):
    status, modules = modules_after("--help", cwd=tmp_path)

    assert status == 0
    assert not modules & HEAVY


def test_a_quick_doctor_imports_neither_torch_nor_arrays(tmp_path):
    status, modules = modules_after("doctor", "--quick", cwd=tmp_path)

    assert status == 4  # an empty folder is no repository
    assert not modules & {"numpy", "scipy", "torch"}


@pytest.mark.parametrize("command", sorted(cli.main.commands))
def test_every_command_explains_itself(command, capsys):
    assert cli.run([command, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


def test_the_help_states_every_exit_status(capsys):
    cli.run(["gate", "--help"])

    output = capsys.readouterr().out
    for status in (0, 1, 2, 3, 4, 130):
        assert re.search(rf"^ +{status}  \w", output, re.MULTILINE)


@pytest.mark.parametrize("command", ["gate", "trials", "calibrate", "init", "bisect"])
def test_the_help_of_a_command_that_can_be_continued_states_the_status_of_an_interrupt(command, capsys):
    cli.run([command, "--help"])

    assert re.search(r"^ +130  interrupted", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("a"), 2),
        (GitError("a"), 4),
        (EnvironmentBuildError("a", side="baseline"), 4),
        (EnvironmentBuildError("a", side="candidate"), 1),
        (Interrupted("a"), 130),
        (KeyboardInterrupt(), 130),
    ],
    ids=["usage", "git", "baseline", "candidate", "interrupted", "ctrl-c"],
)
def test_an_error_becomes_its_exit_status(error, status, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(gating, "gate", fail)

    assert cli.run(["gate"]) == status
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["gate", "--seconds"],
        ["trials", "--shard", "1/2", "--seconds"],
        ["calibrate", "--seconds"],
        ["judge", "a", "b", "--margin"],
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.parametrize("number", ["inf", "nan"])
def test_a_number_that_is_not_finite_is_refused_before_anything_is_measured(arguments, number, tmp_path, capsys):
    assert cli.run([*arguments, number, "-C", str(tmp_path)]) == 2
    assert f"Invalid value for '{arguments[-1]}': {number} is not a finite number." in capsys.readouterr().err


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["error", "traceback"])
def test_what_an_error_quotes_acts_on_no_terminal_and_commands_no_ci(debug, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise EnvironmentBuildError("it does not build:\n\x1b[2J\x1b]52;c;eA==\x07\tPASS\r\n::add-mask::A\n##[error]B")

    monkeypatch.setattr(gating, "gate", fail)

    cli.run([*debug, "gate"])

    told = capsys.readouterr().err
    assert told.endswith(
        "error: it does not build:\n\\x1b[2J\\x1b]52;c;eA==\\x07\tPASS\n\\x3a:add-mask::A\n##\\x5berror]B\n"
    )
    assert not {"\x1b", "\x07", "\r"} & {*told}


def test_a_fault_of_mainstay_is_no_verdict_and_shows_its_traceback(monkeypatch, capsys):
    def fail(*arguments, **options):
        raise KeyError("x")

    monkeypatch.setattr(gating, "gate", fail)

    assert cli.run(["gate"]) == 4
    complaint = capsys.readouterr().err
    assert complaint.startswith("Traceback")
    assert "\nerror: KeyError: 'x'\n  next: this is a fault of mainstay, please report it" in complaint


def test_what_the_system_refuses_is_no_verdict_and_readable(tmp_path, monkeypatch, capsys):
    def fail(*arguments, **options):
        (tmp_path / "absent").read_text()

    monkeypatch.setattr(gating, "gate", fail)

    assert cli.run(["gate"]) == 4
    complaint = capsys.readouterr().err
    assert complaint.startswith(
        f"error: the system refused: No such file or directory\n  looked in: {tmp_path}/absent\n"
    )
    assert "Traceback" not in complaint


GATE = """
import sys
from mainstay import cli
from mainstay.reports import publishing
from mainstay.commands import gate as gating
from mainstay.commands.outcome import RunOutcome

sys.argv = ["mainstay", "gate"]
run = publishing.read_run(gating.Path({path!r}))
gating.gate = lambda *_, observer, **__: observer.phase("x") or RunOutcome(run=run, path={path!r})
cli.entry_point()
"""


@pytest.mark.parametrize("stream", ["stdout", pytest.param("stderr", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("verdict", "status"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 3)])
def test_a_verdict_that_nobody_reads_to_its_end_keeps_its_status(tmp_path, sample_run, stream, verdict, status):
    path = tmp_path / "run.json"
    run = replace(sample_run, verdict=verdict, exit_status=status, notes=("a note",) * 2_000)
    path.write_text(run_to_json(run))
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [sys.executable, "-c", GATE.format(path=str(path))],
        stdout=writer if stream == "stdout" else subprocess.PIPE,
        stderr=writer if stream == "stderr" else subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    output, errors = process.communicate(timeout=600)

    assert process.returncode == status
    if stream == "stdout":
        assert "Error" not in errors
    else:
        assert verdict.upper() in output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_output_that_cannot_be_written_is_no_verdict():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mainstay", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert done.returncode == 4
    assert done.stderr.startswith("error: the system refused: No space left on device")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_every_command_ends_as_interrupted(number):
    code = "import signal; from mainstay import cli\n"
    code += "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # ignored where the tests run under nohup
    code += f"cli.run = lambda: signal.raise_signal({int(number)}) or 0\n"
    done = subprocess.run([sys.executable, "-c", f"{code}cli.entry_point()"], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (130, b"")


def test_a_report_that_cannot_be_written_hides_no_verdict(tmp_path, monkeypatch, capsys, sample_run):
    path = tmp_path / "run.json"
    monkeypatch.setattr(gating, "gate", lambda *_, **__: RunOutcome(run=sample_run, path=path))

    status = cli.run(["gate", f"--html={tmp_path}/absent/page.html"])

    output, complaint = capsys.readouterr()
    assert status == 4
    assert "PASS" in output
    assert f"run: {os.path.relpath(path)}" in output
    assert f"looked in: {tmp_path}/absent/page.html" in complaint
    assert f"'mainstay report {os.path.relpath(path)}' writes a report elsewhere" in complaint


@pytest.mark.parametrize(
    ("module", "command", "is_continued"), [(gating, "gate", True), (calibrate, "calibrate", False)]
)
def test_only_an_interrupted_gate_says_that_it_can_be_continued(module, command, is_continued, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, command, fail)

    assert cli.run([command]) == 130
    assert ("gate --resume" in capsys.readouterr().err) is is_continued


@pytest.mark.parametrize(
    ("interrupted", "way_on", "other"),
    [
        pytest.param("examine", "mainstay init", "gate --resume", id="before-the-gate"),
        pytest.param("gate_against_itself", "gate --resume", "mainstay init", id="during-the-gate"),
    ],
)
def test_an_interrupted_init_offers_to_resume_only_a_gate_that_began(
    interrupted, way_on, other, monkeypatch, capsys, tmp_path
):
    def fail(*arguments, **options):
        raise KeyboardInterrupt

    set_up = SimpleNamespace(survey=SimpleNamespace(describe=list), notes=(), edits=(), root=tmp_path)
    monkeypatch.setattr(adopting, "plan_adoption", lambda *_, **__: set_up)
    monkeypatch.setattr(examination, "examine", lambda *_, **__: examination.Report(checks=()))
    monkeypatch.setattr({"examine": examination}.get(interrupted, adopting), interrupted, fail)

    assert cli.run(["init"]) == 130
    told = capsys.readouterr().err
    assert way_on in told
    assert other not in told


def test_debug_shows_the_traceback(monkeypatch, capsys):
    def fail(*arguments, **options):
        raise GitError("a")

    monkeypatch.setattr(gating, "gate", fail)
    cli.run(["--debug", "gate"])

    assert "Traceback" in capsys.readouterr().err


def test_a_run_that_is_not_there_is_a_usage_error(tmp_path, capsys):
    assert cli.run(["report", str(tmp_path / "run.json")]) == 2
    assert "looked in" in capsys.readouterr().err


def test_a_run_that_was_altered_names_the_key(tmp_path, capsys, sample_run):
    document = json.loads(run_to_json(sample_run))
    document["plan"]["alpha"] = "small"
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))

    assert cli.run(["report", str(path)]) == 4
    assert "plan.alpha" in capsys.readouterr().err


def test_every_form_of_report_is_written(tmp_path, capsys, sample_run):
    path = tmp_path / "run.json"
    path.write_text(run_to_json(sample_run))
    places = {form: tmp_path / f"report.{form}" for form in ("html", "markdown", "junit")}

    status = cli.run(["report", str(path), *(f"--{form}={place}" for form, place in places.items())])

    assert status == 0
    assert all(place.read_text() for place in places.values())
    assert capsys.readouterr().out == ""


def test_reports_go_into_a_pipe_and_through_a_link(tmp_path, sample_run):
    path, pipe, link = (tmp_path / name for name in ("run.json", "pipe", "link"))
    path.write_text(run_to_json(sample_run))
    os.mkfifo(pipe)
    link.symlink_to("report.html")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    try:
        status = cli.run(["report", str(path), f"--markdown={pipe}", f"--html={link}"])
        received = os.read(reader, 1_000_000).decode()
    finally:
        os.close(reader)

    assert (status, pipe.is_fifo(), link.is_symlink()) == (0, True, True)
    assert received == FORMS["markdown"].render(sample_run)
    assert (tmp_path / "report.html").read_text() == FORMS["html"].render(sample_run)


def test_two_runs_are_compared(tmp_path, capsys, sample_run):
    path = tmp_path / "run.json"
    path.write_text(run_to_json(sample_run))

    assert cli.run(["compare", str(path), str(path)]) == 0
    assert "metrics whose verdict changed: 0" in capsys.readouterr().out


@pytest.fixture
def waive(tmp_path):
    """Waive a metric of an empty repository until a day."""
    environ = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", tmp_path, *environ, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    options = ["w#top1_accuracy", "--limit=0.01", "--reason=smaller model", "-C", str(tmp_path)]
    return lambda until: cli.run(["waive", *options, f"--until={until}"])


def test_a_waiver_is_written_to_the_reviewed_file(waive, tmp_path):
    today = datetime.now(UTC).date()

    assert waive(today + timedelta(days=30)) == 0
    assert 'reason = "smaller model"' in (tmp_path / ".mainstay-waivers.toml").read_text()


def test_a_waiver_that_has_expired_already_is_refused(waive, tmp_path, capsys):
    assert waive("2026-01-31") == 2
    assert "a waiver until 2026-01-31 has expired already" in capsys.readouterr().err
    assert not (tmp_path / ".mainstay-waivers.toml").exists()


@pytest.mark.parametrize("link", ["waivers", "waivers/accepted.toml"], ids=["folder", "file"])
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_no_waiver_is_written_through_a_link(tmp_path, capsys, link, inside):
    root = tmp_path / "repository"
    target = (root if inside else tmp_path) / "shared"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "pyproject.toml").write_text('[tool.mainstay]\nwaivers = "waivers/accepted.toml"\n')
    target.mkdir()
    (target / "accepted.toml").write_text("# shared\n")
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(target / "accepted.toml" if link.endswith(".toml") else target)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", root, *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)

    status = cli.run(
        ["waive", "w#a", "--limit=0.01", "--reason=smaller", "-C", str(root), f"--until={datetime.now(UTC).date()}"]
    )

    assert status == 4
    assert f"{link} is a link, whose target would be written to" in capsys.readouterr().err
    assert (root / link).is_symlink()
    assert [(place.name, place.read_text()) for place in target.iterdir()] == [("accepted.toml", "# shared\n")]


def test_no_waiver_of_stored_results_is_written_through_a_link(tmp_path, capsys, monkeypatch):
    (tmp_path / "shared.toml").write_text("# shared\n")
    (tmp_path / ".mainstay-judge-waivers.toml").symlink_to("shared.toml")
    monkeypatch.chdir(tmp_path)

    status = cli.run(["waive", "a", "--judged", "--limit=0.01", "--reason=b", f"--until={datetime.now(UTC).date()}"])

    assert status == 4
    assert ".mainstay-judge-waivers.toml is a link" in capsys.readouterr().err
    assert (tmp_path / "shared.toml").read_text() == "# shared\n"


@pytest.mark.parametrize("command", ["gate", "judge"])
def test_every_form_of_report_that_has_a_help_text_is_an_option(command):
    options = [each for each in cli.main.commands[command].params if hasattr(each, "help")]
    offered = {each.opts[0]: each.help for each in options}

    assert {f"--{name}": form.help for name, form in FORMS.items() if form.help}.items() <= offered.items()
