"""``mainstay init --scaffold``: render the maintenance scaffold for a project.

The scaffold is a copier template in mainstay's repository. uv runs copier in an environment of its own, so the toolkit
does not depend on it; and copier writes to a temporary folder, so nothing of the project changes before all is known.

- :func:`scaffold_options`: what a person may ask for.
- :func:`default_source`: where this version of mainstay has its template.
- :func:`render_scaffold`: the scaffold as edits.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mainstay.adoption.scaffold import (
    ANSWERS,
    Existing,
    answered_code,
    gated_folder,
    has_example,
    holds,
    scaffold_edits,
    surveyed_code,
)
from mainstay.adoption.survey import Survey, survey_project
from mainstay.adoption.writing import Edit
from mainstay.records.errors import ConfigurationError, UsageError
from mainstay.records.redaction import without_credentials
from mainstay.revisions.git import Repository, without_repository
from mainstay.revisions.uv_commands import run_uv
from mainstay.workers.descendants import run_guarded

COPIER = "copier>=9.19.1,<10"
"""What uv installs to render the template."""

TEMPLATE = "copier.yml"
"""File that makes a folder a template."""

PRINT_INTERPRETER = "import sys; print(sys.executable)"
"""Program that tells where uv has installed copier."""

MAX_STAGED_BYTES = 1_000_000
"""The largest file of the project that copier is shown: no file of the scaffold is larger."""

NUM_TAIL_LINES = 10
"""Lines of copier's that a message quotes."""


class Source(NamedTuple):
    """A version of a template."""

    address: str
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaffoldOptions:
    """Options of the user.

    Attributes:
        source: Folder or address of the template, with ``@VERSION`` or without; empty for mainstay's own.
        answers: Answers to the template's questions, such as ``kind=library``.
        existing: What happens to files of the project that differ; ``None`` to refuse them.
        asks: Whether copier may ask on the terminal what was not answered.
    """

    source: str = ""
    answers: tuple[str, ...] = ()
    existing: Existing | None = None
    asks: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaffold:
    """The rendered scaffold.

    Attributes:
        edits: What it changes, from the top of the repository.
        folder: Folder of the package that its workflow gates; empty for the top.
        notes: What a person must know, a sentence each.
    """

    edits: tuple[Edit, ...]
    folder: str
    notes: tuple[str, ...]


def scaffold_options(
    *,
    wanted: bool,
    source: str,
    answers: tuple[str, ...],
    existing: str | None,
    asks: bool,
) -> ScaffoldOptions | None:
    """Check the options of the command line.

    Args:
        wanted: Whether the scaffold is wanted.
        source: As :class:`ScaffoldOptions` has it, like the others.
        answers: The same.
        existing: The same, or empty.
        asks: The same.

    Returns:
        The options; ``None`` where the scaffold is not wanted.

    Raises:
        UsageError: If options are given without the scaffold, or an answer has no question.
    """
    if not wanted:
        if source or answers or existing:
            raise UsageError(
                "--scaffold-from, --answer and --existing are options of the scaffold, and --scaffold is missing",
                next_step="add --scaffold, or leave them out",
            )
        return None
    if wrong := [answer for answer in answers if not re.match(r"\w+=", answer)]:
        raise UsageError(
            f"{wrong[0]!r} is no answer",
            looked_in="--answer",
            next_step="write KEY=VALUE, such as --answer kind=library",
        )
    return ScaffoldOptions(source=source, answers=answers, existing=Existing(existing) if existing else None, asks=asks)


def default_source() -> Source:
    """The template of this version of mainstay: the commit, the folder or the release that it was installed from.

    Raises:
        GitError: If it was installed from a folder that is no clone.
        UsageError: If nothing tells where that is.
    """
    with suppress(PackageNotFoundError):
        found = distribution("mainstay")
        origin = json.loads(found.read_text("direct_url.json") or "{}")
        if commit := origin.get("vcs_info", {}).get("commit_id"):
            return Source(origin["url"], commit)
        folder = url2pathname(urlsplit(origin.get("url", "")).path)
        if origin and Path(folder, TEMPLATE).is_file():
            return _clone(Path(folder))
        addresses = dict(entry.split(", ", 1) for entry in found.metadata.get_all("Project-URL") or ())
        if not origin and "Source" in addresses:
            return Source(addresses["Source"], f"v{found.version}")
    raise UsageError(
        "cannot tell where the scaffold of this mainstay is",
        looked_in="the metadata of the installed mainstay",
        next_step="name it with --scaffold-from, such as https://HOST/OWNER/mainstay@VERSION or a clone",
    )


def parse_source(text: str) -> Source:
    """Read the name of a template.

    Args:
        text: A clone, or an address with ``@VERSION`` or without; the newest commit is taken without.

    Raises:
        GitError: If a folder is no clone.
        UsageError: If the address holds credentials, which copier would write into the project.

    Example:
        >>> parse_source("https://host/owner/mainstay@v0.1.0")
        Source(address='https://host/owner/mainstay', ref='v0.1.0')
        >>> parse_source("git@host:owner/mainstay")
        Source(address='git@host:owner/mainstay', ref='HEAD')
    """
    if Path(text).is_dir():
        return _clone(Path(text).resolve())
    if without_credentials(text) != text:
        raise UsageError(
            "the address of the scaffold holds a password or a token, which would be committed with the answers",
            looked_in="--scaffold-from",
            next_step="leave it out, and let git's credential helper give it",
        )
    found = re.fullmatch(r"(.*/[^@/]+)@([^@]+)", text)
    return Source(found[1], found[2]) if found else Source(text, "HEAD")


def _clone(folder: Path) -> Source:
    """The last commit of a clone: what is not committed has no version that an update could begin with."""
    return Source(str(folder), Repository.discover(folder).resolve("HEAD"))


def render_scaffold(repository: Repository, options: ScaffoldOptions, environ: Mapping[str, str]) -> Scaffold:
    """Render the scaffold for a project; nothing is written there.

    Args:
        repository: The repository; the scaffold belongs to its top.
        options: Of the user.
        environ: The user's environment.

    Raises:
        UsageError: If an answer is missing or wrong, the template cannot be read, or files differ.
        ConfigurationError: If pyproject.toml cannot be read or extended.
        EnvironmentBuildError: If copier cannot be installed.
    """
    top = repository.top

    def read(path: str) -> str | None:
        return text_of(top / path)

    if (there := read(ANSWERS)) is not None:
        if not re.search(r"^mainstay: ", there, re.MULTILINE):
            raise UsageError(
                "this project was made from another template of copier",
                looked_in=ANSWERS,
                next_step="render the scaffold by hand: copier copy --answers-file .copier-answers.mainstay.yml ...",
            )
        workflow = ".github/workflows/gate.yml"
        return Scaffold(
            edits=(),
            folder=gated_folder({workflow: read(workflow) or ""}),
            notes=("the scaffold is there; 'uvx copier update' brings later versions of it",),
        )
    source = parse_source(options.source) if options.source else default_source()
    listed = repository.listed_files(".")
    with tempfile.TemporaryDirectory() as scratch:
        stage = Path(scratch, top.name or "project")
        defaults = _defaults(repository, source, listed, read)
        _stage(top, listed, stage)
        _run_copier(source, stage, options, defaults, environ)
        texts = _texts_of(stage)
        folder = gated_folder(texts)
        survey = _survey(listed, read, folder)
        has_code = survey is not None and bool(survey.packages or survey.backend == "setup.py")
        if has_code and has_example(texts):  # only now is it known where the package is, and so that it has code
            shutil.rmtree(stage)
            _stage(top, listed, stage)
            (stage / ANSWERS).write_text(texts[ANSWERS], encoding="utf-8")  # copier asks for none of them again
            without = replace(options, answers=(*options.answers, "example=false"), asks=False)
            _run_copier(source, stage, without, defaults, environ)
            texts = _texts_of(stage)
        executable = frozenset(path for path in texts if os.access(stage / path, os.X_OK))
    edits = scaffold_edits(texts, read, existing=options.existing, has_code=has_code, executable=executable)
    _refuse_other_place(survey, {*listed, *(edit.path for edit in edits)}, texts, folder)
    _refuse_loss(repository, [edit.path for edit in edits if edit.before is not None], options.existing)
    return Scaffold(edits=edits, folder=folder, notes=tuple(_notes(repository, source, survey)))


def _survey(listed: Sequence[str], read: Callable[[str], str | None], folder: str = "") -> Survey | None:
    """Survey what is below a folder of the repository; ``None`` if there is no Python file."""
    inside = [path.removeprefix(f"{folder}/") for path in listed if not folder or path.startswith(f"{folder}/")]
    if not any(path.endswith(".py") for path in inside):
        return None
    return survey_project(inside, lambda path: read(f"{folder}/{path}" if folder else path))


def _stage(top: Path, listed: Sequence[str], stage: Path) -> None:
    """Copy what copier may find in the project: it keeps some files that are there, and replaces the others."""
    stage.mkdir()
    for path in listed:
        place, copy = top / path, stage / path
        is_plain = not place.is_symlink() and place.stat().st_size <= MAX_STAGED_BYTES
        if is_plain and place.name != "pyproject.toml":  # which is rendered, and merged with the project's
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place, copy)


def _texts_of(stage: Path) -> dict[str, str]:
    """The texts below a folder, by their path in it."""
    places = (place for place in stage.rglob("*") if place.is_file())
    return {place.relative_to(stage).as_posix(): text for place in places if (text := text_of(place)) is not None}


def _run_copier(
    source: Source, stage: Path, options: ScaffoldOptions, defaults: Mapping[str, Any], environ: Mapping[str, str]
) -> None:
    """Render the template over what is staged."""
    asked = ["tool", "run", "--quiet", "--from", COPIER, "--python", sys.executable, "python", "-c", PRINT_INTERPRETER]
    interpreter = run_uv(asked, doing="installing copier").strip()
    command = [interpreter, "-m", "copier", "copy", "--quiet", "--overwrite", "--vcs-ref", source.ref]
    command += [] if options.asks else ["--defaults"]
    command += [word for answer in options.answers for word in ("--data", answer)]
    settings = stage.with_name("settings.yml")
    settings.write_text(json.dumps({"defaults": defaults}), encoding="utf-8")  # JSON is YAML
    variables = without_repository(environ) | {"COPIER_SETTINGS_PATH": str(settings)}
    command += ["--", source.address, str(stage)]
    if options.asks:  # what it says goes to the terminal
        status, errors = subprocess.run(command, env=variables, cwd=stage, check=False).returncode, ""
    else:
        done = run_guarded(command, env=variables | {"GIT_TERMINAL_PROMPT": "0"}, cwd=stage)
        status, errors = done.returncode, done.stderr
    if status:
        num_lines = 1 if "Traceback" in errors else NUM_TAIL_LINES
        lines = errors.replace(f"{stage}/", "").strip().splitlines()[-num_lines:]
        raise UsageError(
            "nothing was written: copier did not render the scaffold" + "".join(f"\n  | {line}" for line in lines),
            looked_in=f"{source.address}, version {source.ref}",
            next_step="name another version with --scaffold-from, or answer with --answer, such as --answer name=plankton",
        )


def _defaults(
    repository: Repository, source: Source, listed: Sequence[str], read: Callable[[str], str | None]
) -> dict[str, Any]:
    """Answers that the project suggests; a person may give others."""
    try:
        project = tomllib.loads(read("pyproject.toml") or "").get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"not a TOML file: {error}", looked_in=str(repository.top / "pyproject.toml"), next_step="correct it"
        ) from error
    name = re.sub(r"[^a-z0-9]+", "-", str(project.get("name", repository.top.name)).lower()).strip("-")
    remote = repository.remote()
    address = repository.call("remote", "get-url", remote, check=False).text if remote else ""
    oldest = re.search(r"[>~=]=\s*(3\.1[1-4])\b", str(project.get("requires-python", "")))
    survey = None if holds(listed, "packages") else _survey(listed, read)  # they may have one project each
    suggested = {
        "name": name if re.match("[a-z]", name) else "",
        "description": " ".join(str(project.get("description", "")).split()),
        "code": surveyed_code(survey) if survey else "",
        "repository": _on_github(address),
        "mainstay": _on_github(source.address),
        "python": oldest[1] if oldest else "",
    }
    answers: dict[str, Any] = {question: answer for question, answer in suggested.items() if answer}
    return answers | ({"example": False} if "code" in answers else {})


def _on_github(address: str) -> str:
    """Owner and name of a repository on GitHub; empty for another address."""
    found = re.search(r"(?:github\.com[:/]|^gh:)([A-Za-z0-9-]+/[A-Za-z0-9._-]+?)(?:\.git)?/?$", address)
    return found[1] if found else ""


def _refuse_other_place(survey: Survey | None, files: Collection[str], texts: Mapping[str, str], folder: str) -> None:
    """Refuse a scaffold whose sessions would look for the code where there is none."""
    code = answered_code(texts)
    if holds(files, f"{folder}/{code}".lstrip("/")):
        return
    found = surveyed_code(survey) if survey else ""
    raise UsageError(
        f"nothing was written: the scaffold's sessions would look for the code in {code}, and nothing is there",
        looked_in=folder or "the top of the repository",
        next_step=f"say where it is: --answer code={found or 'PATH'}",
    )


def _refuse_loss(repository: Repository, paths: Sequence[str], existing: Existing | None) -> None:
    """Refuse to replace what git could not bring back."""
    if existing is not Existing.REPLACE or not paths:
        return
    asked = ("--literal-pathspecs", "status", "--porcelain", "-z", "--untracked-files=all", "--ignored", "--", *paths)
    if unsaved := [entry[3:] for entry in repository.call(*asked).items]:
        raise UsageError(
            f"nothing was written: files that would be replaced are not committed: {', '.join(unsaved)}",
            looked_in="git status",
            next_step="commit them, so that git can bring them back",
        )


def _notes(repository: Repository, source: Source, survey: Survey | None) -> Iterator[str]:
    """What a person must know."""
    yield f"the scaffold is that of {source.address}, {source.ref}"
    yield "its sessions are locked by 'uvx nox -s lock' and run by 'uvx nox'"
    if survey is not None and survey.backend == "none" and survey.packages:
        yield "its sessions install the project, and nothing says how it is built: add [build-system] and [project] to pyproject.toml"
    configured = repository.call("config", "--show-scope", "--get-all", "core.hooksPath", check=False).text.splitlines()
    hooks = [line.partition("\t")[2] for line in configured if not line.startswith("command")]  # our own calls' one
    if hooks:
        yield f"git runs the hooks of {hooks[-1]} (core.hooksPath), and 'pre-commit install' refuses to add its own: call it there"


def text_of(place: Path) -> str | None:
    """The text of a file; ``None`` if it does not exist."""
    try:
        return place.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
