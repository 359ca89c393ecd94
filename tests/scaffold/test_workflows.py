"""What this repository's workflows do in their steps, and which of their runs displace others."""

import os
import re
import subprocess

import pytest
import yaml

from mainstay.adoption.templates import Pin, calling_workflow


@pytest.fixture
def workflow(root):
    """Read a workflow by its name."""
    return lambda name: yaml.safe_load((root / ".github" / "workflows" / f"{name}.yml").read_text())


def steps_with(key, job):
    return [step for step in job["steps"] if key in step]


def group_of(text, context):
    """Name a concurrency group as GitHub does, whose expressions give the first of their values that is there."""

    def value(expression):
        return next(str(context[name]) for name in expression[1].split(" || ") if name in context)

    return re.sub(r"\$\{\{ (.*?) \}\}", value, text)


@pytest.mark.parametrize("name", ["gate", "gate-reusable", "as init writes it"])
def test_a_push_does_not_displace_another_and_a_commit_of_a_pull_request_does(workflow, name):
    if name == "as init writes it":
        found = yaml.safe_load(calling_workflow(Pin("o/mainstay", "c0ffee", "v1.0"), "3.12", branch="main"))
    else:
        found = workflow(name)
    group = found["concurrency"]["group"]
    context = {"github.workflow": "Gate", "inputs.artifact": "gate", "github.ref": "refs/heads/main"}

    pushes = {group_of(group, context | {"github.run_id": run}) for run in (1, 2)}
    commits = {
        group_of(group, context | {"github.run_id": run, "github.event.pull_request.number": 7}) for run in (1, 2)
    }

    assert len(pushes) == 2
    assert len(commits) == 1


@pytest.fixture
def asked(workflow, tmp_path):
    """Change a file in a pull request; return whether the job asks for a fragment of the changelog."""
    (step,) = steps_with("run", workflow("ci")["jobs"]["changelog"])

    def git(*arguments):
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True)

    def change(path, *, base="main"):
        git("init", "--quiet", "--initial-branch", "main")
        git("commit", "--quiet", "--allow-empty", "--message", "first")
        git("update-ref", "refs/remotes/origin/main", "HEAD")
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("changed\n")
        git("add", "--all")
        git("commit", "--quiet", "--message", "second")
        environment = os.environ | {"NOX": "echo nox", "BASE": base}
        done = subprocess.run(
            ["bash", "-euc", step["run"]], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        assert done.stdout in {"", f"nox -s changelog -- --compare-with origin/{base}\n"}
        return done.stdout != ""

    return change


@pytest.mark.parametrize("path", ["README.md", "constraints/dev.txt", ".github/workflows/ci.yml", "docs/src.md"])
def test_corrected_pages_and_updated_dependencies_need_no_fragment(asked, path):
    assert not asked(path)


@pytest.mark.parametrize("path", ["src/mainstay/cli.py", "src/mnist_reference/__init__.py"])
def test_changed_code_needs_a_fragment(asked, path):
    assert asked(path)


def test_a_base_that_git_does_not_know_asks_for_a_fragment(asked):
    assert asked("README.md", base="unknown")


@pytest.mark.parametrize("session", ["examples", "peers"])
@pytest.mark.parametrize("measured", ["measured", ""], ids=["measured", "stopped"])
def test_a_weekly_session_neither_reads_nor_uploads_what_was_published(workflow, tmp_path, session, measured):
    (step,) = steps_with("run", workflow("scheduled")["jobs"]["sessions"])
    results = tmp_path / "docs" / "results" / f"{session}.json"
    results.parent.mkdir(parents=True)
    results.write_text("published\n")
    program = tmp_path / "programs" / "uvx"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ ! -e "{results}" ] || exit 9\n[ -z "{measured}" ] || echo {measured} > "{results}"\n'
    )
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "SESSION": session}

    subprocess.run(["bash", "-euc", step["run"]], cwd=tmp_path, env=environment, check=True)

    assert (results.read_text().strip() if results.exists() else "") == measured


@pytest.mark.parametrize(("name", "job"), [("release", None), ("docs", "publish")])
def test_a_version_that_waits_for_another_is_published_too(workflow, name, job):
    found = workflow(name)
    concurrency = (found["jobs"][job] if job else found)["concurrency"]

    assert (concurrency["queue"], concurrency["cancel-in-progress"]) == ("max", False)


def test_the_documentation_of_a_tag_needs_no_environment_that_refuses_tags(workflow):
    publish = workflow("docs")["jobs"]["publish"]

    assert "environment" not in publish
    assert publish["if"] == "github.ref == 'refs/heads/main' || startsWith(github.ref, 'refs/tags/v')"


def fetched(job):
    """The artifacts that a job takes from earlier ones, by the folder in which they come to lie."""
    taken = [step["with"] for step in steps_with("uses", job) if step["uses"].startswith("actions/download-artifact@")]
    return [(each["path"], each["name"]) for each in taken]


def test_every_file_of_a_release_has_an_attested_provenance(workflow):
    jobs = workflow("release")["jobs"]
    released = {artifact for _, artifact in fetched(jobs["notes"])}

    (built,) = [step["with"] for step in steps_with("with", jobs["build"]) if "attest" in str(step["with"])]
    attested = {"Packages"} if built == {"attest-build-provenance-github": "true"} else set()
    folders = dict(fetched(jobs["attest"]))
    for step in steps_with("uses", jobs["attest"]):
        if step["uses"].startswith("actions/attest@") and "predicate-path" not in step["with"]:
            attested.add(folders[step["with"]["subject-path"].removesuffix("/*")])

    assert released == {"Packages", "BOM"}
    assert attested == released
