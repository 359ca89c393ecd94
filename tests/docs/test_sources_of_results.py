"""Every figure is traced: each file of results names the command that regenerates it, its commit, and what it was measured with."""

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {file.stem: json.loads(file.read_text("utf-8")) for file in sorted((ROOT / "docs" / "results").glob("*.json"))}

MEASURED_WITH = {"machine": {"machine", "machines"}, "versions": {"versions", "mainstay_version"}}
"""What each file says, and the keys that say it."""

COMMITS = {"commit", "commits", "commit_of_the_file"}
CLEAN = re.compile(r"[0-9a-f]{12}|[0-9a-f]{40}")

NOT_RECORDED: dict[str, tuple[set[str], str]] = {
    "clean_changes": ({"versions"}, "each gate records its commit and machine alone"),
    "evaluation": ({"machine"}, "a simulation, whose figures follow from its seed"),
    "groups": ({"machine"}, "a simulation, whose figures follow from its seed"),
    "history": ({"machine"}, "a simulation, whose figures follow from its seed"),
    "multiplicity": ({"machine"}, "a simulation, whose figures follow from its seed"),
    "operating_characteristics": ({"machine"}, "a simulation, whose figures follow from its seed"),
    "pair_lengths": ({"machine"}, "a simulation, whose figures follow from its seed"),
}
"""Facts that a file lacks, with the reason."""


def sources(document):
    """Yield what stands beside the figures: of the whole file, or of each of its parts."""
    facts = document.get("provenance", document)
    if "command" in facts:
        yield facts
    else:
        for part in document.values():
            yield part.get("provenance", part)


def keys(value):
    """Yield every key of a document with what it holds."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(inner)


def commits(document):
    """Every commit that a document names."""
    named = [value for key, value in keys(document) if key in COMMITS and isinstance(value, str | dict)]
    return {commit for value in named for commit in ([value] if isinstance(value, str) else value)}


def resolves(command):
    """Whether a command is a module that is there or a session of nox."""
    program, option, name, *_ = shlex.split(command)
    if program == "nox":
        return bool(re.search(rf"^def {name}\(session", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE))
    return (program, option) == ("python", "-m") and importlib.util.find_spec(name) is not None


@pytest.mark.parametrize("stem", FILES)
def test_command_that_regenerates_a_file_is_there(stem):
    facts = [*sources(FILES[stem])]
    named = [value for each in facts for key, value in keys(each) if key == "command" and isinstance(value, str)]

    assert all("command" in each for each in facts)
    assert [command for command in named if not resolves(command)] == []


@pytest.mark.parametrize(
    "command", ["python -m experiments.no_such_module", "nox -s no_such_session", "python a.py -x"]
)
def test_command_that_is_not_there_is_noticed(command):
    assert not resolves(command)


@pytest.mark.parametrize("stem", FILES)
def test_commit_of_a_file_is_clean(stem):
    named = commits(FILES[stem])

    assert named
    assert all(map(CLEAN.fullmatch, named))
    assert all(value for key, value in keys(FILES[stem]) if key == "is_clean")


@pytest.mark.parametrize("stem", FILES)
def test_file_says_what_it_was_measured_with(stem):
    lacking, _ = NOT_RECORDED.get(stem, (set(), ""))

    for facts in sources(FILES[stem]):
        said = {key for key, value in keys(facts) if value}
        assert {fact for fact, names in MEASURED_WITH.items() if not names & said} == lacking


def test_counts_were_compared_between_instruction_sets_and_numbers_of_threads():
    machines = FILES["torch_counts"]["machines"]

    assert machines is not None
    assert all(machines["are_equal"].values())
