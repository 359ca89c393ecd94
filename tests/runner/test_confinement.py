"""What a process that is confined can do, and what it cannot; on a real kernel."""

import json
import signal
import subprocess
import sys

import pytest

from mainstay.runner.confinement import can_confine, confined_command, landlock_abi

pytestmark = pytest.mark.skipif(not can_confine(), reason="this kernel offers no Landlock that is new enough")

TRY = """
import json, os, shutil, subprocess, sys
own, other = sys.argv[2:]
try:
    exec(sys.argv[1])
except (OSError, subprocess.CalledProcessError) as error:
    print(json.dumps(type(error).__name__))
else:
    print(json.dumps("done"))
"""


@pytest.fixture
def places(tmp_path):
    """A folder that is the process's own, and another one; both hold a file and a folder."""
    for name in ("own", "other"):
        (tmp_path / name / "folder").mkdir(parents=True)
        (tmp_path / name / "file").write_text("as it was")
    return tmp_path / "own", tmp_path / "other"


def attempt(body, places, *, writable=None):
    """What becomes of some code in a confined process: ``done``, or the name of the error."""
    own, other = map(str, places)
    command = [sys.executable, "-c", TRY, body, own, other]
    writable = (own,) if writable is None else writable
    done = subprocess.run(confined_command(writable, command), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("open(f'{other}/file', 'w')", id="write"),
        pytest.param("open(f'{other}/file', 'a')", id="append"),
        pytest.param("open(f'{other}/new', 'w')", id="make"),
        pytest.param("os.truncate(f'{other}/file', 0)", id="truncate"),
        pytest.param("os.remove(f'{other}/file')", id="remove"),
        pytest.param("os.rmdir(f'{other}/folder')", id="remove-a-folder"),
        pytest.param("os.mkdir(f'{other}/new')", id="make-a-folder"),
        pytest.param("os.symlink(own, f'{other}/new')", id="make-a-link"),
        pytest.param("os.mkfifo(f'{other}/new')", id="make-a-pipe"),
        pytest.param("os.rename(f'{other}/file', f'{other}/new')", id="rename"),
        pytest.param("os.rename(f'{other}/file', f'{own}/new')", id="take-away"),
        pytest.param("os.rename(f'{own}/file', f'{other}/file')", id="put-over-it"),
        pytest.param("os.link(f'{other}/file', f'{own}/new')", id="hard-link"),
        pytest.param("os.symlink(other, f'{own}/new'); open(f'{own}/new/file', 'w')", id="through-a-link"),
        pytest.param("subprocess.run(['sh', '-c', f'echo > {other}/file'], check=True)", id="by-a-child"),
        pytest.param("os.chdir(other); open('file', 'w')", id="by-its-working-folder"),
    ],
)
def test_nothing_outside_its_own_folder_can_be_changed(places, body):
    became = attempt(body, places)

    other = places[1]
    assert became in {"PermissionError", "OSError", "CalledProcessError"}
    assert sorted(path.name for path in other.iterdir()) == ["file", "folder"]
    assert (other / "file").read_text() == "as it was"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            "open(f'{own}/folder/new', 'w').write('x'); os.rename(f'{own}/folder/new', f'{own}/new')", id="rename"
        ),
        pytest.param("shutil.rmtree(f'{own}/folder'); os.remove(f'{own}/file')", id="remove"),
        pytest.param("os.link(f'{own}/file', f'{own}/folder/new'); os.truncate(f'{own}/file', 0)", id="link"),
        pytest.param("open(f'{other}/file').read(); os.listdir(other)", id="read-elsewhere"),
        pytest.param("open('/dev/null', 'w').write('x')", id="the-null-device"),
        pytest.param(
            "from multiprocessing.shared_memory import SharedMemory; s = SharedMemory(create=True, size=9); s.unlink()",
            id="shared-memory",
        ),
        pytest.param("import multiprocessing; multiprocessing.Queue().put(1)", id="semaphores"),
        pytest.param("import os; os.write(os.memfd_create('x'), b'x')", id="memory-file"),
        pytest.param("subprocess.run([sys.executable, '-c', 'pass'], check=True)", id="start-a-process"),
    ],
)
def test_what_workloads_do_in_their_own_folder_goes_on(places, body):
    assert attempt(body, places) == "done"


def test_a_single_file_can_be_named(places):
    own, other = places

    assert attempt("open(f'{other}/file', 'w')", places, writable=(str(own), str(other / "file"))) == "done"
    assert attempt("os.remove(f'{other}/file')", places, writable=(str(own), str(other / "file"))) != "done"


def test_a_place_that_does_not_exist_is_passed_over(places):
    own, other = places

    assert attempt("open(f'{own}/new', 'w')", places, writable=(str(own), str(other / "absent"))) == "done"


def test_two_confinements_leave_what_both_allow(places):
    own, other = map(str, places)
    inner = confined_command((own,), [sys.executable, "-c", TRY, "open(f'{other}/file', 'w')", own, other])

    done = subprocess.run(confined_command((own, other), inner), capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == "PermissionError"


@pytest.mark.skipif(landlock_abi() < 6, reason="scopes came later")
def test_a_confined_process_cannot_end_the_one_that_started_it(places):
    assert attempt(f"os.kill(os.getppid(), {signal.SIGTERM:d})", places) == "PermissionError"


@pytest.mark.parametrize("is_confined", [False, True], ids=["a-free-process", "a-confined-process"])
@pytest.mark.parametrize("path", ["fd/1", "mem"], ids=["pipes", "memory"])
def test_a_confined_process_reaches_neither_pipes_nor_memory_of_another(places, path, is_confined):
    waiting = [sys.executable, "-c", "print('ready', flush=True); input()"]
    command = confined_command((), waiting) if is_confined else waiting
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        place = f"/proc/{process.pid}/{path}"
        reached = attempt(f"open({place!r}, 'rb+', buffering=0)", places, writable=("/proc", *map(str, places)))
        process.communicate(b"\n")

    assert reached == "PermissionError"


def test_the_process_keeps_its_id_and_its_status(tmp_path):
    command = [sys.executable, "-c", "import os, sys; print(os.getpid()); sys.exit(7)"]
    process = subprocess.Popen(confined_command((), command), stdout=subprocess.PIPE, text=True)

    output = process.communicate()[0]

    assert (int(output), process.returncode) == (process.pid, 7)


def test_a_process_that_cannot_be_confined_does_not_run(tmp_path):
    command = confined_command((str(tmp_path),), [sys.executable, "-c", "print('ran')"])
    broken = f"import sys; sys.argv[1:] = {command[4:]!r}\n" + (
        f"source = open({command[3]!r}).read().replace('CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444', "
        "'CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 99999')\nexec(compile(source, 'confinement.py', 'exec'))"
    )

    done = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "ran" not in done.stdout


LEAVES_NOTHING_OPEN = """
import os, sys
from mainstay.runner.confinement import confine

before = os.listdir("/proc/self/fd")
confine(sys.argv[1:])
sys.exit(os.listdir("/proc/self/fd") != before)
"""


def test_confining_leaves_no_descriptor_open(tmp_path):
    assert subprocess.run([sys.executable, "-c", LEAVES_NOTHING_OPEN, str(tmp_path)], check=False).returncode == 0
