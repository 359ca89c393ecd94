"""What the files around the code promise about each other."""

import re
import subprocess
import sys
import tomllib

import pytest


@pytest.fixture(scope="module")
def sessions(root):
    pytest.importorskip("nox")
    listing = subprocess.run(
        [sys.executable, "-m", "nox", "--list", "--nocolor", "--noxfile", str(root / "noxfile.py")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {name.partition("-")[0] for name in re.findall(r"^[*-] (\S+)", listing, re.MULTILINE)}


def test_ci_runs_the_command_of_the_readme(root):
    (command,) = re.findall(r"^python3 -m venv .*nox -s tests-3\.11$", (root / "README.md").read_text(), re.MULTILINE)

    assert command in (root / ".ci" / "run").read_text()


def test_every_session_that_a_workflow_names_exists(root, sessions):
    named = set()
    for workflow in (root / ".github" / "workflows").glob("*.yml"):
        text = workflow.read_text()
        named |= set(re.findall(r'(?:nox|NOX) -s "?([a-z_]+)', text))
        for row in re.findall(r"session: \[(.*)\]", text):
            named |= set(row.split(", "))

    assert named
    assert named <= sessions


def test_every_session_that_a_page_names_exists(root, sessions):
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("changes/*.md")]
    named = {name for page in pages for name in re.findall(r"nox -s ([a-z_]+)", page.read_text())}

    assert named
    assert named <= sessions


def test_supported_pythons_are_tested_by_ci(root):
    classifiers = tomllib.loads((root / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = [name.rpartition(" ")[2] for name in classifiers if re.search(r":: 3\.\d+$", name)]
    (row,) = re.findall(r"python: \[(.*)\]", (root / ".github" / "workflows" / "ci.yml").read_text())

    assert re.findall(r"[\d.]+", row) == supported


def test_constraints_name_no_index(root):
    for file in (root / "constraints").glob("*.txt"):
        assert not re.search(r"://|--index|--find-links", file.read_text()), file.name


def test_every_constraint_is_hashed(root):
    for file in (root / "constraints").glob("*.txt"):
        requirements = re.split(r"\n(?=\S)", file.read_text().strip())
        assert all("--hash=sha256:" in requirement for requirement in requirements), file.name


def test_citation_names_the_version(root):
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]

    assert f"version: {version}\n" in (root / "CITATION.cff").read_text()


def test_what_a_pull_request_must_pass_runs_in_the_merge_queue_too(root):
    for name in ("ci", "docs", "gate"):
        events, _, _ = (root / ".github" / "workflows" / f"{name}.yml").read_text().partition("permissions:")
        assert {"pull_request:", "merge_group:"} <= set(events.split()), name


def test_pull_request_form_asks_who_wrote_it_and_leads_to_the_policy(root):
    form = (root / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text()

    assert "Which tools wrote what?" in form
    assert "AI_POLICY.md" in form


def test_no_workflow_runs_a_stranger_with_rights(root):
    for workflow in (root / ".github" / "workflows").glob("*.yml"):
        text = workflow.read_text()
        assert "pull_request_target" not in text, workflow.name
        assert "\npermissions: {}\n" in text, workflow.name
