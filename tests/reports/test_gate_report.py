"""The job that comments on pull requests meets hostile artifacts."""

import functools
import http.server
import importlib.util
import io
import json
import struct
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mainstay.store.documents import run_to_json

SCRIPT = Path(__file__).parents[2] / ".github" / "scripts" / "gate_report.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the tests stand outside the repository")


@pytest.fixture(scope="module")
def gate_report():
    spec = importlib.util.spec_from_file_location("gate_report", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def head(gate_report):
    return gate_report.Head(repository="ada/mainstay", branch="faster", sha="a" * 40)


def zipped(*files, method=zipfile.ZIP_DEFLATED):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as target:
        for name, content in files:
            target.writestr(name, content)
    return archive.getvalue()


def altered(archive, offset, value, *, at):
    """An archive with two bytes altered, counted from a header of its first member or from its end."""
    content = bytearray(archive)
    start = {"entry": archive.index(b"PK\x01\x02"), "data": len("run.json") + 30, "end": archive.index(b"PK\x05\x06")}
    struct.pack_into("<H", content, start[at] + offset, value)
    return bytes(content)


REPEATED = zipped(("run.json", "[" + "1, " * 10_000))


def pull_request(number=7, *, repository="ada/mainstay", branch="faster", sha="a" * 40, state="open"):
    return {
        "number": number,
        "state": state,
        "head": {"repo": repository and {"full_name": repository}, "ref": branch, "sha": sha},
    }


class RecordedApi:
    """Answers from lists, remembers what was written."""

    def __init__(self, pull_requests, comments=()):
        self._pull_requests, self._comments, self.written = pull_requests, comments, []

    def pull_requests(self, head):
        return self._pull_requests

    def comments(self, number):
        return self._comments

    def create_comment(self, number, body):
        self.written.append(("create", number, body))

    def update_comment(self, comment, body):
        self.written.append(("update", comment, body))


def test_a_sound_artifact_is_read(gate_report, failing):
    assert gate_report.read_run(zipped(("run.json", run_to_json(failing)))).verdict is failing.verdict


@pytest.fixture
def archive(request):
    """The content of an artifact; what is large is made here, since every process of the suite makes all parameters."""
    return request.param() if callable(request.param) else request.param


def bomb(method):
    """Makes an archive of 50 MB."""
    return functools.partial(zipped, ("run.json", " " * 50_000_000), method=method)


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        pytest.param(b"not a zip", "not a readable zip", id="no-zip"),
        pytest.param(zipped(), "holds 0 files", id="empty"),
        pytest.param(zipped(("../run.json", "{}")), "holds 0 files", id="path-traversal"),
        pytest.param(zipped(("/run.json", "{}")), "holds 0 files", id="absolute-path"),
        pytest.param(zipped(("run.json", '{"schema_version": 1}')), "does not fit", id="wrong-schema"),
        pytest.param(zipped(("run.json", '{"schema_version": 2}')), "does not fit", id="other-version"),
        pytest.param(zipped(("run.json", "[" * 100_000)), "does not fit|nested", id="nested"),
        pytest.param(zipped(("run.json", b"\xff\xfe")), "not UTF-8", id="not-text"),
        pytest.param(bomb(zipfile.ZIP_DEFLATED), "run.json has more than", id="zip-bomb-of-50-MB"),
        pytest.param(bomb(zipfile.ZIP_BZIP2), "neither stored nor deflated", id="bzip2"),
        pytest.param(bomb(zipfile.ZIP_LZMA), "neither stored nor deflated", id="lzma"),
        pytest.param(altered(REPEATED, 0, 0xFFFF, at="data"), "not a readable zip", id="damaged-deflate"),
        pytest.param(altered(REPEATED, 8, 1, at="entry"), "not a readable zip", id="encrypted"),
        pytest.param(altered(REPEATED, 24, 10, at="entry"), "not a readable zip", id="larger-than-it-says"),
        pytest.param(altered(REPEATED, 26, 0x7FFF, at="entry"), "run.json has more than", id="claims-2-GB"),
        pytest.param(altered(REPEATED, 42, 0xFFFF, at="entry"), "not a readable zip", id="lies-elsewhere"),
        pytest.param(altered(REPEATED, 16, 0xFFFF, at="end"), "not a readable zip", id="no-directory"),
        pytest.param(REPEATED[:-10], "not a readable zip", id="cut-off"),
        pytest.param(zipped(*((f"{i}", "") for i in range(1_001))), "more than 1,000 files", id="many-files"),
        pytest.param(zipped(("run.json", f'{{"schema_version": {"1" * 5_000}}}')), "does not", id="long-number"),
    ],
    indirect=["archive"],
)
def test_hostile_artifact_is_refused(gate_report, archive, reason):
    with pytest.raises(gate_report.Refused, match=reason):
        gate_report.read_run(archive)


def test_artifact_of_50_mb_is_refused_before_it_is_opened(gate_report):
    with pytest.raises(gate_report.Refused, match="the artifact has more than"):
        gate_report.read_run(bytes(50_000_000))


def test_a_second_run_json_cannot_hide_behind_the_first(gate_report, failing):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(("run.json", run_to_json(failing)), ("run.json", "{}"))

    with pytest.raises(gate_report.Refused, match="holds 2 files"):
        gate_report.read_run(archive)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param([pull_request()], 7, id="the-one"),
        pytest.param([], None, id="none"),
        pytest.param([pull_request(), pull_request(8)], None, id="several"),
        pytest.param([pull_request(sha="b" * 40)], None, id="moved-on"),
        pytest.param([pull_request(branch="other")], None, id="other-branch"),
        pytest.param([pull_request(repository="eve/mainstay")], None, id="same-branch-in-another-fork"),
        pytest.param([pull_request(repository=None)], None, id="fork-was-deleted"),
        pytest.param([pull_request(state="closed")], None, id="closed"),
        pytest.param([pull_request(8, sha="b" * 40), pull_request()], 7, id="picks-by-commit"),
    ],
)
def test_pull_request_is_chosen_by_the_head_of_the_event(gate_report, head, candidates, expected):
    assert gate_report.matching_pull_request(candidates, head) == expected


def test_number_of_another_pull_request_in_the_artifact_is_ignored(gate_report, head, failing):
    run = replace(failing, notes=(*failing.notes, "pull request: 1", "closes #1"))
    api = RecordedApi([pull_request(7)])

    gate_report.publish(api, head, gate_report.render_markdown(run))

    assert [number for _, number, _ in api.written] == [7]


def test_without_a_match_nothing_is_written(gate_report, head):
    api = RecordedApi([pull_request(sha="b" * 40)])

    assert "stands here alone" in gate_report.publish(api, head, "report")
    assert api.written == []


@pytest.mark.parametrize(
    ("login", "body", "action"),
    [
        pytest.param("github-actions[bot]", "<!-- mainstay gate report -->\nold", "update", id="own"),
        pytest.param("eve", "<!-- mainstay gate report -->\nold", "create", id="forged-mark"),
        pytest.param("github-actions[bot]", "other\n<!-- mainstay gate report -->", "create", id="another-job"),
    ],
)
def test_only_the_own_comment_is_replaced(gate_report, head, login, body, action):
    api = RecordedApi([pull_request()], [{"id": 99, "user": {"login": login}, "body": body}])

    gate_report.publish(api, head, "report")

    assert api.written[0][:2] == (action, {"update": 99, "create": 7}[action])


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://evil.example/pixel.png)",
        "[click](javascript:alert(1))",
        "@everyone please look",
        "closes #1",
        "```\n# heading\n```",
        "| a | b |\n|---|---|",
        "</details><h1>passed</h1>",
        "<!-- mainstay gate report -->",
    ],
)
def test_markup_in_a_run_is_shown_not_obeyed(gate_report, failing, text):
    hostile = replace(failing, notes=(text,), candidate=replace(failing.candidate, subject=text))

    report = gate_report.render_markdown(gate_report.read_run(zipped(("run.json", run_to_json(hostile)))))

    outside_code = "".join(part for number, part in enumerate(report.split("`")) if number % 2 == 0)
    for acting in ("<script", "<img", "](", "@everyone", "#1", "# heading", "</details><h1>", "<!--"):
        assert acting not in outside_code.replace("</details>", "")


def test_a_report_too_long_for_a_comment_points_to_the_summary(gate_report):
    body = gate_report.comment_body("x" * 70_000, "a" * 40)

    assert len(body) < 1_000
    assert "job summary" in body


@pytest.fixture
def github_server():
    """A small server that answers like GitHub and remembers what it was sent."""
    answers, seen = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            seen.append((self.command, self.path, self.rfile.read(length), self.headers.get("Authorization")))
            status, location, body = answers.get(self.path.partition("?")[0], (200, None, b"{}"))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = answer

        def log_message(self, *arguments):
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers, seen
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def report_on(gate_report, github_server, tmp_path):
    """Run the job on an artifact; returns its status, its summary and what it sent."""

    def run(archive, *, answer=None, **facts):
        address, answers, seen = github_server
        listing = {"artifacts": [{"id": 5, "name": "gate", "expired": False, "size_in_bytes": 1000}]}
        answers["/repos/o/mainstay/actions/runs/3/artifacts"] = 200, None, json.dumps(listing).encode()
        answers["/repos/o/mainstay/actions/artifacts/5/zip"] = 302, f"{address}/blob", b""
        answers["/blob"] = 200, None, archive
        answers["/repos/o/mainstay/pulls"] = 200, None, json.dumps([pull_request()]).encode()
        answers["/repos/o/mainstay/issues/7/comments"] = 200, None, b"[]"
        answers.update(answer or {})
        event, summary = tmp_path / "event.json", tmp_path / "summary.md"
        head = {"head_repository": {"full_name": "ada/mainstay"}, "head_branch": "faster", "head_sha": "a" * 40}
        event.write_text(json.dumps({"workflow_run": {"id": 3, **head, **facts}}))
        environ = {
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_API_URL": address,
            "GITHUB_REPOSITORY": "o/mainstay",
            "GITHUB_TOKEN": "secret",
        }
        return gate_report.main(environ), summary.read_text(), seen

    return run


def test_from_event_to_comment(report_on, failing):
    status, summary, seen = report_on(zipped(("run.json", run_to_json(failing))))

    posted = [json.loads(body)["body"] for method, _, body, _ in seen if method == "POST"]
    assert status == 0
    assert len(posted) == 1
    assert posted[0].startswith("<!-- mainstay gate report -->")
    assert "commented on #7" in summary
    assert [token for _, path, _, token in seen if path == "/blob"] == [None]


@pytest.mark.parametrize(
    ("facts", "answer", "status", "said"),
    [
        ({}, {"/repos/o/mainstay/pulls": (403, None, b"{}")}, 1, "no comment could be written: HTTP Error 403"),
        (
            {},
            {"/repos/o/mainstay/issues/7/comments": (502, None, b"{}")},
            1,
            "no comment could be written: HTTP Error 502",
        ),
        ({"head_repository": None}, {}, 0, "no single open pull request has this head"),
    ],
    ids=["locked", "outage", "fork-was-deleted"],
)
def test_a_report_that_is_no_comment_stands_in_the_summary(report_on, failing, facts, answer, status, said):
    told, summary, seen = report_on(zipped(("run.json", run_to_json(failing))), answer=answer, **facts)

    assert told == status
    assert summary.startswith("## ❌ mainstay: FAIL")
    assert said in summary.splitlines()[-1]
    assert [method for method, *_ in seen if method != "GET"] == []


def test_an_artifact_that_github_does_not_give_is_told_in_a_sentence(report_on):
    status, summary, _ = report_on(b"", answer={"/blob": (500, None, b"")})

    assert status == 1
    assert summary.startswith("The artifact of the gate could not be fetched: HTTP Error 500")


@pytest.mark.parametrize("text", ["##[error]owned", "fine ##[stop-commands]x", "::add-mask::x", "fine ::add-mask::x"])
def test_no_command_in_a_run_reaches_the_log(report_on, failing, text, capsys):
    hostile = replace(failing, notes=(text,), candidate=replace(failing.candidate, subject=text))

    status, summary, _ = report_on(zipped(("run.json", run_to_json(hostile))))

    assert (status, capsys.readouterr().out) == (0, "commented on #7\n")
    assert text not in summary


@pytest.mark.parametrize("order", [[5, 9, 7], [9, 7, 5], [5, 7, 9]])
def test_of_several_attempts_the_artifact_of_the_last_is_read(gate_report, github_server, order):
    address, answers, _ = github_server
    listed = [{"id": number, "name": "gate", "expired": False, "size_in_bytes": 1000} for number in order]
    answers["/repos/o/mainstay/actions/runs/3/artifacts"] = 200, None, json.dumps({"artifacts": listed}).encode()
    for number in order:
        answers[f"/repos/o/mainstay/actions/artifacts/{number}/zip"] = 200, None, f"artifact {number}".encode()

    assert gate_report.GitHub(address, "o/mainstay", "secret").artifact(3) == b"artifact 9"


def test_an_artifact_that_has_expired_is_not_read(gate_report, github_server):
    address, answers, _ = github_server
    listed = [{"id": number, "name": "gate", "expired": number == 9, "size_in_bytes": 1000} for number in (5, 9)]
    answers["/repos/o/mainstay/actions/runs/3/artifacts"] = 200, None, json.dumps({"artifacts": listed}).encode()
    answers["/repos/o/mainstay/actions/artifacts/5/zip"] = 200, None, b"artifact 5"

    assert gate_report.GitHub(address, "o/mainstay", "secret").artifact(3) == b"artifact 5"


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(bomb(zipfile.ZIP_LZMA), id="lzma"),
        pytest.param(altered(REPEATED, 0, 0xFFFF, at="data"), id="damaged-deflate"),
        pytest.param(b"", id="empty"),
    ],
    indirect=True,
)
def test_a_refusal_stands_in_the_summary(report_on, archive):
    status, summary, seen = report_on(archive() if callable(archive) else archive)

    assert status == 1
    assert summary.startswith("The artifact of the gate was refused: ")
    assert [method for method, *_ in seen if method != "GET"] == []


def test_a_run_that_cannot_be_rendered_is_refused(gate_report, report_on, failing, monkeypatch):
    def overflow(run):
        raise OverflowError("math range error")

    monkeypatch.setattr(gate_report, "render_markdown", overflow)

    status, summary, _ = report_on(zipped(("run.json", run_to_json(failing))))

    assert (status, summary) == (
        1,
        "The artifact of the gate was refused: run.json cannot be rendered: OverflowError.\n",
    )
