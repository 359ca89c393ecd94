"""Which revisions a gate in CI compares, and with which options."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml


@pytest.fixture
def repository(tmp_path):
    """Make a project of two commits; return a function that runs git in it."""
    project = tmp_path / "project"
    project.mkdir()

    def git(*arguments):
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    for message in ("first", "second"):
        git("commit", "--quiet", "--allow-empty", "--message", message)
    return git


@pytest.fixture
def arguments_of(tmp_path, repository):
    """Run a command with programs that only write down how they were called; return the options of the gate."""
    programs, called = tmp_path / "programs", tmp_path / "called.json"
    programs.mkdir()
    for name in ("uvx", "mainstay", "python"):
        program = programs / name
        program.write_text(
            f"#!{sys.executable}\nimport json, sys\nfrom pathlib import Path\n"
            f"Path({str(called)!r}).write_text(json.dumps(sys.argv))\n"
        )
        program.chmod(0o755)

    def run(command, **variables):
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path), "RUNNER_TEMP": str(tmp_path)}
        subprocess.run(command, cwd=tmp_path / "project", env=environment | variables, check=True)
        _, _, options = json.dumps(json.loads(called.read_text())).partition('"gate", ')
        return json.loads(f"[{options}")

    return run


def value_of(option, arguments):
    return arguments[arguments.index(option) + 1] if option in arguments else None


@pytest.fixture
def github(root, arguments_of):
    action = root / ".github" / "actions" / "gate"

    def run(**variables):
        return arguments_of(
            ["bash", str(action / "gate.sh")], GITHUB_ACTION_PATH=str(action), PYTHON_VERSION="3.11", **variables
        )

    return run


@pytest.fixture
def gitlab(root, arguments_of):
    job = yaml.safe_load((root / ".gitlab" / "mainstay-gate.yml").read_text())["mainstay-gate"]

    def run(**variables):
        return arguments_of(["bash", "-euo", "pipefail", "-c", "\n".join(job["script"])], **variables)

    return run


def test_pull_request_leaves_the_baseline_to_the_gate(github):
    assert "--baseline" not in github(GITHUB_EVENT_NAME="pull_request", MERGE_GROUP_BASE="", PUSHED_BEFORE="")


def test_merge_queue_is_compared_with_what_it_builds_on(github, repository):
    base = repository("rev-parse", "HEAD~1")

    assert value_of("--baseline", github(GITHUB_EVENT_NAME="merge_group", MERGE_GROUP_BASE=base)) == base


def test_push_is_compared_with_what_was_there_before(github, repository):
    before = repository("rev-parse", "HEAD~1")

    assert value_of("--baseline", github(GITHUB_EVENT_NAME="push", PUSHED_BEFORE=before)) == before


@pytest.mark.parametrize("before", ["0" * 40, "1" * 40, ""], ids=["new-branch", "forced", "none"])
def test_push_onto_nothing_leaves_the_baseline_to_the_gate(github, gitlab, before):
    assert "--baseline" not in github(GITHUB_EVENT_NAME="push", PUSHED_BEFORE=before)
    assert "--baseline" not in gitlab(MAINSTAY_INSTALL="mainstay", MAINSTAY_ARGUMENTS="", CI_COMMIT_BEFORE_SHA=before)


def test_more_options_are_handed_on(github, gitlab):
    arguments = github(GITHUB_EVENT_NAME="pull_request", ARGUMENTS="--seconds 600 --fail-fast")
    assert arguments[-3:] == ["--seconds", "600", "--fail-fast"]
    assert gitlab(MAINSTAY_INSTALL="mainstay", MAINSTAY_ARGUMENTS="--seconds 600")[-2:] == ["--seconds", "600"]


@pytest.mark.parametrize(
    ("set_to_base", "set_to_head"),
    [
        pytest.param("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", "CI_MERGE_REQUEST_DIFF_BASE_SHA", id="merged-result"),
        pytest.param("CI_MERGE_REQUEST_DIFF_BASE_SHA", "CI_COMMIT_BEFORE_SHA", id="merge-request"),
        pytest.param("CI_COMMIT_BEFORE_SHA", "CI_COMMIT_SHA", id="push"),
    ],
)
def test_gitlab_takes_the_closest_base(gitlab, repository, set_to_base, set_to_head):
    base, head = repository("rev-parse", "HEAD~1"), repository("rev-parse", "HEAD")
    variables = {set_to_base: base, set_to_head: head}

    arguments = gitlab(MAINSTAY_INSTALL="mainstay", MAINSTAY_ARGUMENTS="", **variables)

    assert value_of("--baseline", arguments) == base


def workflows_of_the_page(root):
    page = (root / "docs" / "how-to" / "wire-ci.md").read_text()
    blocks = re.findall(r'```yaml title="\.github/workflows/([\w.-]+)"\n(.*?)```', page, re.DOTALL)
    return {name: text.replace("OWNER/mainstay/", "$/").replace("@COMMIT # VERSION", "") for name, text in blocks}


def without_comments(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", ["gate.yml", "gate-report.yml", "history.yml"])
def test_other_projects_are_shown_what_this_one_uses(root, name):
    own = (root / ".github" / "workflows" / name).read_text()

    assert without_comments(workflows_of_the_page(root)[name]) == without_comments(own)


def shown_jobs(root):
    """Jobs in the documentation that call a workflow of this repository, with the names of these workflows."""
    for page in (root / "docs").rglob("*.md"):
        for block in re.findall(r"^```yaml.*?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            shown = yaml.safe_load(block)
            for job in shown.get("jobs", {}).values() if isinstance(shown, dict) else ():
                if found := re.match(r"OWNER/mainstay/\.github/workflows/(\S+)@", job.get("uses", "")):
                    yield job, found[1]


def test_every_job_that_is_shown_grants_what_the_called_workflow_needs(root):
    names = []
    for job, name in shown_jobs(root):
        called = yaml.safe_load((root / ".github" / "workflows" / name).read_text())
        (needed,) = (each["permissions"] for each in called["jobs"].values())
        assert needed.items() <= job.get("permissions", {}).items(), (name, job)
        names.append(name)

    assert set(names) == {"gate-reusable.yml", "gate-report-reusable.yml", "history-reusable.yml"}


def test_label_removes_itself_in_other_projects_as_here(root):
    own = yaml.safe_load((root / ".github" / "workflows" / "gpu.yml").read_text())
    shown = yaml.safe_load(workflows_of_the_page(root)["gate-gpu.yml"])

    assert shown["jobs"]["unlabel"] == own["jobs"]["unlabel"]
    assert [shown["jobs"]["gate"][key] for key in ("needs", "if")] == [
        own["jobs"]["gpu"][key] for key in ("needs", "if")
    ]


def test_reusable_workflow_hands_on_what_the_action_takes(root):
    action = yaml.safe_load((root / ".github" / "actions" / "gate" / "action.yml").read_text())
    reusable = yaml.safe_load((root / ".github" / "workflows" / "gate-reusable.yml").read_text())
    given = reusable["jobs"]["gate"]["steps"][1]["with"]
    inputs = reusable[True]["workflow_call"]["inputs"]  # YAML reads "on" so

    assert given == {name: f"${{{{ inputs.{name} }}}}" for name in action["inputs"]}
    assert {name: inputs[name]["default"] for name in given} == {
        name: each["default"] for name, each in action["inputs"].items()
    }
