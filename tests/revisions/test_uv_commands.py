import subprocess
import sys
import time
import traceback
from contextlib import suppress

import psutil
import pytest

from mainstay.records.errors import EnvironmentBuildError, OutageError
from mainstay.records.trials import Side
from mainstay.revisions.uv_commands import RefusedError, UnreachableError, _failure, sweep_builds
from tests.index_server import PASSWORD
from tests.repositories import git
from tests.revisions.small_packages import BACKEND, built, ensure_dependencies, pyproject, resolved, tool, write

# --- failures of an index, the network and the disk ----------------------------------------------------------------


def test_without_network_and_cache_the_message_says_so(shelf, trees, monkeypatch):
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["absent-package"])})
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(UnreachableError) as caught:
        resolved(trees)

    assert caught.value.looked_in == "the package index and the cache of uv"
    assert caught.value.next_step == "connect to the network once; everything needed is then cached"
    assert (caught.value.side, caught.value.exit_status) == (None, 4)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        pytest.param(401, RefusedError, id="refuses"),
        pytest.param(503, UnreachableError, id="is-overloaded"),
    ],
)
def test_an_index_that_does_not_serve_what_the_candidate_needs_is_blamed_on_no_revision(
    shelf, trees, serve, monkeypatch, refusal, kind
):
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["tool"])})
    address = f"http://me:{PASSWORD}x@{serve(shelf, refusal=refusal).place}/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", address)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(EnvironmentBuildError) as caught:
        resolved(trees)

    assert (type(caught.value), caught.value.side, caught.value.exit_status) == (kind, None, 4)


def test_a_download_that_breaks_off_is_blamed_on_no_revision(shelf, trees, serve, monkeypatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:{PASSWORD}@{serve(shelf, cuts_off=True).place}/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(UnreachableError, match="installing the dependencies failed for the candidate") as caught:
        ensure_dependencies(tool(side=Side.CANDIDATE), trees[Side.CANDIDATE])

    assert (caught.value.side, caught.value.exit_status) == (None, 4)


def test_an_address_at_which_a_server_has_no_file_is_blamed_on_the_revision_that_requires_it(
    shelf, trees, serve, monkeypatch
):
    address = f"http://me:{PASSWORD}@{serve(shelf).place}/tool-9.0-py3-none-any.whl"
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=[f"tool @ {address}"])})
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(EnvironmentBuildError, match=r"\(404 ") as caught:
        resolved(trees)

    assert (caught.value.side, caught.value.exit_status) == (Side.CANDIDATE, 1)


@pytest.mark.parametrize("absent", ["@typo", f"@{'1' * 40}", "-elsewhere"], ids=["branch", "commit", "repository"])
@pytest.mark.usefixtures("own_git_settings")
def test_what_a_git_repository_lacks_is_blamed_on_the_revision_that_requires_it(shelf, trees, tmp_path, absent):
    write(tmp_path / "own", **{"pyproject.toml": pyproject(), "backend.py": BACKEND, "src/own/__init__.py": ""})
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=first"]):
        git(tmp_path / "own", *arguments)
    address = f"subject @ git+{(tmp_path / 'own').as_uri()}{absent}"
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(benchmarks=["pytest", address])})

    with pytest.raises(EnvironmentBuildError, match="resolving the dependencies failed for the candidate") as caught:
        resolved(trees)

    assert not isinstance(caught.value, OutageError)
    assert (caught.value.side, caught.value.exit_status) == (Side.CANDIDATE, 1)


def test_a_full_disk_is_blamed_on_no_revision(shelf, trees):
    full = "def build_wheel(*_):\n    raise OSError(28, 'No space left on device')\n"
    write(trees[Side.CANDIDATE], **{"backend.py": f"{BACKEND}\n\n{full}"})

    with pytest.raises(OutageError, match="building the wheel failed for the candidate") as caught:
        built(trees)

    assert (caught.value.side, caught.value.exit_status) == (None, 4)
    assert caught.value.next_step == "free some disk space, then run it again"


@pytest.mark.parametrize(
    "said",
    [
        "error: Failed to fetch: `https://index/simple/tool/`\n  Caused by: error reading a body from connection",
        "  × Failed to download `tool==1.0`\n  ├─▶ Failed to write to the distribution cache\n  ╰─▶ error decoding response\n      body",
        "error: Request failed after 3 retries\n  Caused by: HTTP status server error (502 Bad Gateway) for url",
        "  ╰─▶ Because tool was not found in the cache and subject depends on tool, your requirements are unsatisfiable.",
    ],
)  # fmt: skip
def test_what_uv_says_of_the_network_is_understood_in_each_of_its_forms(said):
    assert isinstance(_failure("it failed", said, Side.CANDIDATE), UnreachableError)


# --- networks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["uv", "build"])
def test_no_message_tells_a_password(shelf, trees, serve, monkeypatch, told):
    monkeypatch.setenv("UV_INDEX_OURS_PASSWORD", PASSWORD)
    if told == "uv":
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:{PASSWORD}x@{serve(shelf).place}/simple")
        with pytest.raises(EnvironmentBuildError, match="401 Unauthorized") as caught:
            resolved(trees)
        assert caught.value.next_step.startswith("give uv the user and the password")
    else:
        tree = trees[Side.CANDIDATE]
        write(tree, **{"backend.py": "import os, sys\nsys.exit(str(dict(os.environ)))\n"})
        with pytest.raises(EnvironmentBuildError) as caught:
            built(trees)
        assert "UV_INDEX_OURS_PASSWORD': '****'" in str(caught.value)

    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_proxy_of_the_environment_is_used(shelf, trees, serve, monkeypatch):
    proxy = serve(shelf, header="Proxy-Authorization", refusal=407)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://index.invalid/simple")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{PASSWORD}@{proxy.place}")
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    assert resolved(trees)[0] == ("pluggy==2.0", "pytest==9.0")
    assert "http://index.invalid/simple/pytest/" in proxy.asked


# --- what builds are given and leave behind ------------------------------------------------------------------------

LEAVING_BACKEND = """
import tempfile
tempfile.mkdtemp(prefix="of-a-build-")
"""


@pytest.mark.parametrize("ending", ["", "raise SystemExit('broken')", "os.kill(os.getppid(), signal.SIGKILL)"])
def test_what_uv_and_a_build_leave_behind_is_removed(shelf, trees, temporary, ending):
    ends = "import os, signal\n_build = build_wheel\ndef build_wheel(*args):\n    " + (ending or "return _build(*args)")
    write(trees[Side.BASELINE], **{"backend.py": f"{BACKEND}{LEAVING_BACKEND}{ends}"})

    with suppress(EnvironmentBuildError):
        built(trees, Side.BASELINE)

    assert list(temporary.iterdir()) == []


UNTIL_KILLED = """
import pathlib, sys
from mainstay.revisions import uv_commands
uv_commands.cache_folder = lambda: pathlib.Path(sys.argv[1])
uv_commands.run_uv(["build", "--wheel", "--python", sys.executable, "--out-dir", sys.argv[2], sys.argv[3]])
"""


def test_what_uv_of_a_killed_gate_leaves_behind_is_removed_by_the_next(shelf, trees, temporary, cache, tmp_path):
    tree, begun = trees[Side.BASELINE], tmp_path / "begun"
    waiting = f"import os, pathlib, time\npathlib.Path({str(begun)!r}).symlink_to(str(os.getpid()))\ntime.sleep(600)"
    write(tree, **{"backend.py": f"{BACKEND}{LEAVING_BACKEND}{waiting}"})
    gate = subprocess.Popen([sys.executable, "-c", UNTIL_KILLED, str(cache), str(tmp_path / "wheels"), str(tree)])
    while not begun.is_symlink():  # made with its content at once
        assert gate.poll() is None
        time.sleep(0.05)
    gate.kill()
    gate.wait()
    build = int(begun.readlink().name)
    while psutil.pid_exists(build):
        time.sleep(0.05)
    assert any(temporary.iterdir())

    sweep_builds()

    assert list(temporary.iterdir()) == []


def test_a_build_does_not_take_the_repository_of_a_hook_for_its_own(shelf, trees, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    write(trees[Side.BASELINE], **{"backend.py": f"{BACKEND}\nimport os\nassert 'GIT_DIR' not in os.environ\n"})

    assert built(trees, Side.BASELINE).roots == ("subject",)
