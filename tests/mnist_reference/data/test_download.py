import errno
import gzip
import hashlib
import http.server
import io
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from functools import partial

import pytest

from mnist_reference.data.download import PinnedFile, fetch, verify
from mnist_reference.errors import DataError

CONTENTS = {"one-ubyte": b"first" * 1000, "two-ubyte": bytes(range(256)) * 4096}
PINNED = [
    PinnedFile(name=name, num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    for name, content in CONTENTS.items()
]

FETCH_IN_A_PROCESS = """
import resource, sys
from pathlib import Path
from mnist_reference.data.download import PinnedFile, fetch
from mnist_reference.errors import DataError
folder, mirror, name, num_bytes, sha256, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    fetch(Path(folder), [mirror], files=[PinnedFile(name=name, num_bytes=int(num_bytes), sha256=sha256)])
except DataError as error:
    sys.exit(str(error))
"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


@pytest.fixture
def serve():
    servers = []

    def start(handler):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fetched(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "fetch.lock"}


def command(folder, mirror, limit=0):
    pinned = PINNED[1]
    arguments = [str(folder), mirror, pinned.name, str(pinned.num_bytes), pinned.sha256, str(limit)]
    return [sys.executable, "-c", FETCH_IN_A_PROCESS, *arguments]


def test_fetch_from_a_file_url(mirror, tmp_path):
    fetch(tmp_path / "raw", [mirror.as_uri()], files=PINNED)

    assert fetched(tmp_path / "raw") == CONTENTS


def test_fetch_over_http(mirror, tmp_path, serve):
    url = serve(partial(QuietHandler, directory=mirror))

    fetch(tmp_path / "raw", [f"{url}/"], files=PINNED)

    assert fetched(tmp_path / "raw") == CONTENTS


def test_a_file_that_is_there_is_not_fetched_again(mirror, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "one-ubyte").write_bytes(b"mine")

    fetch(tmp_path / "raw", [mirror.as_uri()], files=PINNED)

    assert fetched(tmp_path / "raw") == CONTENTS | {"one-ubyte": b"mine"}


@pytest.mark.parametrize(
    ("rubbish", "reason"),
    [
        pytest.param(b"<html>not found</html>", "not a gzip file", id="a-web-page"),
        pytest.param(gzip.compress(CONTENTS["one-ubyte"])[:-20], "not a gzip file", id="truncated"),
        pytest.param(gzip.compress(b"other content"), "its content has the SHA-256", id="other-content"),
        pytest.param(gzip.compress(bytes(10**7)), "it holds more than 5000 bytes", id="too-long"),
        pytest.param(b"", "its content has the SHA-256", id="empty"),
        pytest.param(None, "No such file", id="absent"),
    ],
)
def test_rubbish_is_refused_and_the_next_mirror_taken(mirror, tmp_path, rubbish, reason):
    bad = tmp_path / "bad"
    bad.mkdir()
    if rubbish is not None:
        (bad / "one-ubyte.gz").write_bytes(rubbish)

    with pytest.raises(DataError, match="one-ubyte cannot be fetched") as refusal:
        fetch(tmp_path / "raw", [bad.as_uri()], files=PINNED)
    nothing = fetched(tmp_path / "raw")
    fetch(tmp_path / "raw", [bad.as_uri(), mirror.as_uri()], files=PINNED)

    assert reason in str(refusal.value.looked_in)
    assert nothing == {}
    assert fetched(tmp_path / "raw") == CONTENTS


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://127.0.0.1:1", "refused"), ("nonsense", "unknown url type"), ("gopher://somewhere", "unknown url type")],
)
def test_mirror_that_cannot_be_reached_says_why(tmp_path, url, reason):
    with pytest.raises(DataError) as refusal:
        fetch(tmp_path / "raw", [url], files=PINNED)

    assert reason in str(refusal.value.looked_in)


def test_server_that_breaks_off_is_refused(tmp_path, serve):
    content = gzip.compress(os.urandom(100_000))

    class Breaking(QuietHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:1000])

    with pytest.raises(DataError, match="cannot be fetched"):
        fetch(tmp_path / "raw", [serve(Breaking)], files=PINNED)


@pytest.mark.parametrize(
    "failure",
    [ssl.SSLError(1, "decryption failed or bad record mac"), OSError(errno.EHOSTUNREACH, "No route to host")],
    ids=["encryption", "no-route"],
)
def test_a_connection_that_fails_during_a_read_is_refused_and_the_next_mirror_taken(
    mirror, tmp_path, monkeypatch, failure
):
    class Failing(io.BytesIO):
        def read(self, *arguments):
            raise failure

    def open_url(url, **options):
        return Failing() if url.startswith("https://far.example") else opened(url, **options)

    opened = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", open_url)

    with pytest.raises(DataError, match="one-ubyte cannot be fetched") as refusal:
        fetch(tmp_path / "raw", ["https://far.example"], files=PINNED)
    fetch(tmp_path / "raw", ["https://far.example", mirror.as_uri()], files=PINNED)

    assert str(failure) in str(refusal.value.looked_in)
    assert fetched(tmp_path / "raw") == CONTENTS


def test_full_disk_is_explained(mirror, tmp_path):
    finished = subprocess.run(
        command(tmp_path / "raw", mirror.as_uri(), limit=100_000), check=False, capture_output=True, text=True
    )

    assert finished.returncode == 1
    assert "MNIST cannot be written: File too large" in finished.stderr
    assert "free some space" in finished.stderr
    assert fetched(tmp_path / "raw") == {}


def test_killed_fetch_leaves_nothing_under_the_name_and_the_next_succeeds(mirror, tmp_path, serve, start_process):
    compressed = gzip.compress(CONTENTS["two-ubyte"], compresslevel=0)
    half_sent = threading.Event()

    class Stalling(QuietHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(compressed[: len(compressed) // 2])
            self.wfile.flush()
            half_sent.set()
            time.sleep(30)

    process = start_process(command(tmp_path / "raw", serve(Stalling)))
    while not half_sent.wait(0.1):  # PyTorch is imported before, which a busy machine may take a minute for
        assert process.poll() is None
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left_behind = (tmp_path / "raw" / "two-ubyte").exists()
    fetch(tmp_path / "raw", [mirror.as_uri()], files=PINNED)

    assert not left_behind
    verify(tmp_path / "raw", files=PINNED)


def test_two_fetches_at_once_do_not_disturb_each_other(mirror, tmp_path, start_process):
    processes = [start_process(command(tmp_path / "raw", mirror.as_uri())) for _ in range(2)]

    assert [process.wait() for process in processes] == [0, 0]
    verify(tmp_path / "raw", files=PINNED[1:])
