"""What the job that keeps a run does with it, and when the branch is gated against the last release."""

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml

from mainstay.records.findings import Method
from mainstay.records.runs import Environment
from mainstay.records.trials import Side
from mainstay.store.documents import run_to_json

BRANCH = f"mainstay-history/{datetime.now(UTC):%Y}"


@pytest.fixture
def git(tmp_path, monkeypatch):
    """Make a project of two commits that has a server; return a function that runs git in it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.delenv("GITHUB_BASE_REF", raising=False)
    project = tmp_path / "project"
    project.mkdir()

    def run(*arguments, cwd=project):
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()

    run("init", "--quiet", "--bare", "--initial-branch", "main", str(tmp_path / "server"))
    run("init", "--quiet", "--initial-branch", "main")
    for message in ("first", "second"):
        run("commit", "--quiet", "--allow-empty", "--message", message)
    run("remote", "add", "origin", str(tmp_path / "server"))
    run("push", "--quiet", "origin", "main")
    return run


@pytest.fixture
def document(tmp_path, git, sample_run):
    """Write the run of the second commit against the first as the artifact that was fetched."""

    def write(**changes):
        environments = tuple(
            Environment(side=side, python="3", packages={}, packages_digest="p", wheel_digest="w") for side in Side
        )
        run = replace(
            sample_run,
            environments=environments,
            findings=(replace(sample_run.findings[0], method=Method.SEQUENTIAL),),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            baseline=replace(sample_run.baseline, commit=git("rev-parse", "HEAD~1")),
            candidate=replace(sample_run.candidate, commit=git("rev-parse", "HEAD")),
        )
        place = tmp_path / "mainstay-gate" / "run.json"
        place.parent.mkdir()
        place.write_text(run_to_json(replace(run, **changes)))

    return write


@pytest.fixture
def action(root, tmp_path, git):
    """Run the action's script with the mainstay that is tested, or with one that prints a list."""
    programs, output = tmp_path / "programs", tmp_path / "output"
    programs.mkdir()
    output.touch()

    def run(task, *, kind="main", listed=None, **more):
        program = programs / "uvx"
        real = f'exec {sys.executable} -m mainstay "$@"'
        told = f'cat <<"END"\n{listed}\nEND'
        program.write_text(
            f'#!/bin/sh\nwhile [ "$1" != mainstay ]; do shift; done\nshift\n{real if listed is None else told}\n'
        )
        program.chmod(0o755)
        folder = root / ".github" / "actions" / "history"
        variables = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "GITHUB_ACTION_PATH": str(folder),
            "GITHUB_OUTPUT": str(output),
            "RUNNER_TEMP": str(tmp_path),
            "KIND": kind,
            "TASK": task,
            **more,
        }
        done = subprocess.run(
            ["bash", str(folder / "history.sh")],
            cwd=tmp_path / "project", env=os.environ | variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr, output.read_text()

    return run


def on_server(git, tmp_path):
    """Names of the runs that arrived."""
    if not git("branch", "--list", BRANCH, cwd=tmp_path / "server"):
        return []
    return git("ls-tree", "-r", "--name-only", BRANCH, cwd=tmp_path / "server").splitlines()


def test_the_run_of_a_push_is_kept_on_the_server(action, document, git, tmp_path):
    document()

    status, text, _ = action("keep")

    assert (status, text.splitlines()[0][:6]) == (0, "kept: ")
    assert len(on_server(git, tmp_path)) == 1


def test_a_job_without_the_right_to_write_says_so_and_succeeds(action, document, git, tmp_path):
    document()
    hook = tmp_path / "server" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'Permission to a/b.git denied to c.' >&2\nexit 1\n")
    hook.chmod(0o755)

    status, text, _ = action("keep")

    assert status == 0
    assert "::notice title=history::nothing is kept: this job may not write to the repository." in text
    assert on_server(git, tmp_path) == []


def test_a_gate_that_left_no_run_leaves_nothing_to_keep(action):
    status, text, _ = action("keep")

    assert (status, text) == (0, "::notice title=history::nothing is kept: the gate left no run\n")


def test_a_run_that_is_not_valid_is_told_and_not_kept(action, document, git, tmp_path):
    document(environments=())

    status, text, _ = action("keep")

    assert status == 0
    assert "::notice title=history::not kept: the environments of the two revisions are not recorded" in text
    assert on_server(git, tmp_path) == []


def test_a_server_that_cannot_be_reached_fails_the_job(action, document, tmp_path):
    document()
    (tmp_path / "server").rename(tmp_path / "elsewhere")

    status, text, _ = action("keep")

    assert status != 0
    assert "::notice" not in text


def test_an_anchor_that_looked_more_than_once_is_refused_as_such(action, document, sample_run):
    document(plan=replace(sample_run.plan, looks=(5, 8)))

    status, text, _ = action("keep", kind="anchor")

    assert status == 0
    assert "not kept: an anchor needs a fixed number of pairs" in text


def lines(kinds):
    """What 'mainstay history list' prints of so many runs."""
    return "\n".join(
        f"20270101T0000{i:02}-000-ab  {kind:<7}  pass  0123456789  anchor it" for i, kind in enumerate(kinds)
    )


@pytest.mark.parametrize(
    ("kinds", "is_due"),
    [
        (["main"] * 19, False),
        (["main"] * 20, True),
        (["main"] * 19 + ["anchor"] + ["main"] * 19, False),
        (["anchor"] + ["main"] * 20, True),
        ([], False),
    ],
    ids=["few", "enough", "few-since", "enough-since", "none"],
)
def test_an_anchor_is_due_every_twenty_kept_commits(action, git, kinds, is_due):
    git("tag", "v1.2.0")

    status, text, output = action("due", listed=lines(kinds))

    assert status == 0
    assert output == ("release=v1.2.0\n" if is_due else "")
    assert ("no anchor" in text) is not is_due


@pytest.fixture
def private_server():
    """A server that lets nobody in and remembers who asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get_all("Authorization"))
            self.send_response(403)
            self.end_headers()

        def log_message(self, *arguments):
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("task", "fails"), [("due", True), ("sync", False)])
def test_earlier_runs_of_a_private_repository_are_fetched_with_the_token(action, git, private_server, task, fails):
    address, asked = private_server
    git("tag", "v1.2.0")
    git("remote", "set-url", "origin", f"{address}/o/r.git")
    git("config", f"http.{address}/.extraheader", "AUTHORIZATION: basic kept")

    status, text, _ = action(task, GITHUB_SERVER_URL=address, GITHUB_TOKEN="word" * 10)

    token = base64.b64encode(b"x-access-token:" + b"word" * 10).decode()
    assert asked
    assert all(headers == [f"basic {token}"] for headers in asked)
    assert (status != 0) is fails
    assert ("earlier runs do not stand in the reports" in text) is not fails


def test_the_gate_of_a_stranger_s_code_gets_no_token(root):
    steps = yaml.safe_load((root / ".github" / "actions" / "gate" / "action.yml").read_text())["runs"]["steps"]
    with_token = [step["env"]["TASK"] for step in steps if "token" in json.dumps(step)]

    assert with_token == ["sync"]


def test_without_a_release_there_is_nothing_to_anchor_to(action):
    assert action("due", listed=lines(["main"] * 40)) == (
        0, "::notice title=history::no anchor: there is no release yet\n", "",
    )  # fmt: skip
