"""Turn the artifact of a gate into one comment on its pull request.

The gate ran code of the pull request, so its artifact is data of a stranger. Nothing in it is trusted: neither its
size, nor its file names, nor any number of a pull request in it, nor ready-made Markdown. Only the member ``run.json``
is read, bounded, in memory; it must fit the published schema; the report is rendered here. Which pull request it
belongs to is asked of GitHub, by what the event says about the head. The report goes to the job summary first; where
there is none or several, or the comment cannot be written, it stands there alone. The log, in which GitHub obeys
commands, gets no word of the artifact.

Runs in ``gate-report.yml`` on the default branch's code. Parts: reading (:func:`read_run`), choosing
(:func:`matching_pull_request`), writing (:func:`comment_body`, :func:`own_comment`), and the edge (:class:`GitHub`,
:func:`main`).
"""

from __future__ import annotations

import http.client
import io
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mainstay.records.errors import SchemaError
from mainstay.records.runs import Run
from mainstay.reports.markdown import render_markdown
from mainstay.store.documents import run_from_json

ARTIFACT = "gate"
MEMBER = "run.json"
MAX_ARCHIVE_BYTES = 20_000_000
MAX_MEMBERS = 1_000
MAX_RUN_BYTES = 40_000_000
MAX_COMMENT_CHARACTERS = 65_000
MARK = "<!-- mainstay gate report -->"
DIRECTORY_ENTRY = b"PK\x01\x02"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BOT = "github-actions[bot]"
FAILURES = (OSError, http.client.HTTPException)
"""What a call of GitHub raises: an answer other than 200, no answer, or one that breaks off."""


class Refused(Exception):
    """The artifact is not a run that can be shown; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What the event says about the revision that was gated.

    Args:
        repository: ``owner/name`` that the branch lives in, a fork or the repository itself.
        branch: Name of the branch.
        sha: The commit at its tip when the gate started.
    """

    repository: str
    branch: str
    sha: str

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> Head | None:
        """Read a ``workflow_run`` event; ``None`` if the fork was deleted meanwhile."""
        run = event["workflow_run"]
        if run["head_repository"] is None:
            return None
        return cls(repository=run["head_repository"]["full_name"], branch=run["head_branch"], sha=run["head_sha"])


class Api(Protocol):
    """The few calls that the report needs."""

    def pull_requests(self, head: Head) -> Sequence[Mapping[str, Any]]:
        """Return the open pull requests whose head is that branch."""

    def comments(self, number: int) -> Iterable[Mapping[str, Any]]:
        """Iterate over the comments of a pull request."""

    def create_comment(self, number: int, body: str) -> None:
        """Add a comment."""

    def update_comment(self, comment: int, body: str) -> None:
        """Replace a comment."""


def read_run(archive: bytes) -> Run:
    """Read the run document from an artifact, in memory.

    Args:
        archive: The zip file as GitHub sent it.

    Raises:
        Refused: If it is too large, no zip file, holds no or several ``run.json``, or the document does not fit.
    """
    if len(archive) > MAX_ARCHIVE_BYTES:
        raise Refused(f"the artifact has more than {MAX_ARCHIVE_BYTES:,} bytes")
    if archive.count(DIRECTORY_ENTRY) > MAX_MEMBERS:
        raise Refused(f"the artifact holds more than {MAX_MEMBERS:,} files")
    try:
        document = _read_member(archive)
    except Refused:
        raise
    except Exception as error:  # bytes of a stranger: whatever zipfile and zlib stumble over
        raise Refused(f"the artifact is not a readable zip file: {type(error).__name__}") from error
    try:
        return run_from_json(document.decode("utf-8"), where=MEMBER)
    except UnicodeDecodeError as error:
        raise Refused(f"{MEMBER} is not UTF-8") from error
    except SchemaError as error:
        raise Refused(f"{MEMBER} does not fit the schema of a run") from error
    except RecursionError as error:
        raise Refused(f"{MEMBER} is nested too deeply") from error
    except Exception as error:  # such as a number of a million digits
        raise Refused(f"{MEMBER} does not read: {type(error).__name__}") from error


def _read_member(archive: bytes) -> bytes:
    """Read the one ``run.json``, no further than its limit, whatever size it claims to have."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        members = [member for member in files.infolist() if member.filename == MEMBER]
        if len(members) != 1:
            raise Refused(f"the artifact holds {len(members)} files named {MEMBER}, expected 1")
        if members[0].compress_type not in METHODS:  # of these alone zipfile bounds what it unpacks at once
            raise Refused(f"{MEMBER} is neither stored nor deflated")
        if members[0].file_size > MAX_RUN_BYTES:
            raise Refused(f"{MEMBER} has more than {MAX_RUN_BYTES:,} bytes")
        with files.open(members[0]) as file:
            document = file.read(MAX_RUN_BYTES + 1)
    if len(document) > MAX_RUN_BYTES:
        raise Refused(f"{MEMBER} has more than {MAX_RUN_BYTES:,} bytes")
    return document


def render(run: Run) -> str:
    """Render the report of a stranger's run.

    Raises:
        Refused: If its values cannot be shown.
    """
    try:
        return render_markdown(run)
    except Exception as error:  # the schema bounds the types of values, not what a report makes of them
        raise Refused(f"{MEMBER} cannot be rendered: {type(error).__name__}") from error


def matching_pull_request(pull_requests: Iterable[Mapping[str, Any]], head: Head) -> int | None:
    """Return the number of the one open pull request with exactly that head, else ``None``.

    Args:
        pull_requests: As GitHub lists them.
        head: What the event says.
    """
    numbers = [
        int(each["number"])
        for each in pull_requests
        if each["state"] == "open"
        and (each["head"].get("repo") or {}).get("full_name") == head.repository
        and each["head"]["ref"] == head.branch
        and each["head"]["sha"] == head.sha
    ]
    return numbers[0] if len(numbers) == 1 else None


def own_comment(comments: Iterable[Mapping[str, Any]]) -> int | None:
    """Return the comment that an earlier report wrote, else ``None``; nobody else's comment counts."""
    for comment in comments:
        if comment["user"]["login"] == BOT and comment["body"].startswith(MARK):
            return int(comment["id"])
    return None


def comment_body(report: str, sha: str) -> str:
    """Return the comment: our mark, the report, the commit it is about.

    Args:
        report: Markdown that :mod:`mainstay.reports.markdown` rendered.
        sha: From the event, not from the artifact.
    """
    if len(report) > MAX_COMMENT_CHARACTERS:
        report = "The report is too long for a comment; it stands in the job summary of the workflow *Gate report*."
    return f"{MARK}\n{report}\n\nGated at {sha[:12]}.\n"


def publish(api: Api, head: Head | None, report: str) -> str:
    """Keep the one comment up to date; return what was done, in words."""
    number = matching_pull_request(api.pull_requests(head), head) if head else None
    if number is None or head is None:
        return "no single open pull request has this head: the report stands here alone"
    body = comment_body(report, head.sha)
    comment = own_comment(api.comments(number))
    if comment is None:
        api.create_comment(number, body)
        return f"commented on #{number}"
    api.update_comment(comment, body)
    return f"brought the comment on #{number} up to date"


class GitHub:
    """GitHub's REST interface for one repository.

    Args:
        api: Address of the interface.
        repository: ``owner/name``.
        token: What the job was given.
    """

    def __init__(self, api: str, repository: str, token: str) -> None:
        self._base = f"{api}/repos/{repository}"
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}

    def artifact(self, run_id: int) -> bytes | None:
        """Fetch the gate's newest artifact of a workflow run, at most one byte over the limit; ``None`` if there is none."""
        listing = json.loads(self._call("GET", f"/actions/runs/{run_id}/artifacts?name={ARTIFACT}"))
        found = [each for each in listing["artifacts"] if each["name"] == ARTIFACT and not each["expired"]]
        if not found:
            return None
        newest = max(found, key=lambda each: int(each["id"]))  # each attempt at a run leaves one
        if newest["size_in_bytes"] > MAX_ARCHIVE_BYTES:
            raise Refused(f"the artifact has more than {MAX_ARCHIVE_BYTES:,} bytes")
        return self._call("GET", f"/actions/artifacts/{int(newest['id'])}/zip", limit=MAX_ARCHIVE_BYTES + 1)

    def pull_requests(self, head: Head) -> Sequence[Mapping[str, Any]]:
        """Return the open pull requests whose head is that branch."""
        owner = head.repository.partition("/")[0]
        query = urllib.parse.urlencode({"state": "open", "head": f"{owner}:{head.branch}", "per_page": 100})
        found: Sequence[Mapping[str, Any]] = json.loads(self._call("GET", f"/pulls?{query}"))
        return found

    def comments(self, number: int) -> Iterable[Mapping[str, Any]]:
        """Iterate over the comments of a pull request."""
        for page in range(1, 100):
            batch = json.loads(self._call("GET", f"/issues/{number}/comments?per_page=100&page={page}"))
            yield from batch
            if len(batch) < 100:
                return

    def create_comment(self, number: int, body: str) -> None:
        """Add a comment."""
        self._call("POST", f"/issues/{number}/comments", {"body": body})

    def update_comment(self, comment: int, body: str) -> None:
        """Replace a comment."""
        self._call("PATCH", f"/issues/comments/{comment}", {"body": body})

    def _call(self, method: str, path: str, data: Mapping[str, Any] | None = None, *, limit: int = -1) -> bytes:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self._base + path, body, self._headers, method=method)
        with _opener().open(request, timeout=60) as answer:
            content: bytes = answer.read(limit)
        return content


class _WithoutToken(urllib.request.HTTPRedirectHandler):
    """Artifacts are served from another host, which must not see the token."""

    def redirect_request(self, req: urllib.request.Request, *arguments: Any) -> urllib.request.Request | None:
        following = super().redirect_request(req, *arguments)
        if following is not None:
            following.remove_header("Authorization")
        return following


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_WithoutToken)


def main(environ: Mapping[str, str]) -> int:
    """Read the event and the artifact, write the summary and the comment."""
    event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text("utf-8"))
    github = GitHub(environ["GITHUB_API_URL"], environ["GITHUB_REPOSITORY"], environ["GITHUB_TOKEN"])
    try:
        archive = github.artifact(int(event["workflow_run"]["id"]))
        if archive is None:
            return _say(environ, "The gate left no run: it was cancelled, or broke before the first pair.", status=0)
        report = render(read_run(archive))
    except Refused as refused:
        return _say(environ, f"The artifact of the gate was refused: {refused}.", status=1)
    except FAILURES as error:
        return _say(environ, f"The artifact of the gate could not be fetched: {error}.", status=1)
    _summarize(environ, f"{report}\n")
    try:
        return _say(environ, publish(github, Head.of_event(event), report), status=0)
    except FAILURES as error:
        return _say(environ, f"The report stands here alone, since no comment could be written: {error}.", status=1)


def _say(environ: Mapping[str, str], sentence: str, *, status: int) -> int:
    """Write a sentence of our own to the summary and to the log."""
    _summarize(environ, sentence)
    print(sentence)
    return status


def _summarize(environ: Mapping[str, str], text: str) -> None:
    with Path(environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(os.environ))
