"""A package index on this machine that wants a password."""

import base64
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

PASSWORD = "word-of-nobody-else"

LONG_AGO = "2026-01-01T00:00:00Z"
"""Time at which a wheel was uploaded for which a test gives no other."""


class Index:
    """A package index, or a proxy to one, on this machine, which answers those who know the password.

    Args:
        folder: Its packages.
        header: In which the password is expected.
        refusal: Status for those who do not know it.
        cuts_off: Whether the connection ends before a wheel does.
        uploaded: Time of upload of some wheels, by the names of the files; all others were uploaded long ago.
    """

    def __init__(self, folder, header="Authorization", *, refusal=401, cuts_off=False, uploaded=None):
        self.asked = []
        index = self
        expected = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=str(folder))

            def do_GET(self):
                index.asked.append(self.path)
                self.path = urlsplit(self.path).path.removeprefix("/simple")
                if self.headers[header] == expected:
                    (super().do_GET if uploaded is None or self.path.endswith(".whl") else self.send_times)()
                else:
                    self.send_response(refusal)
                    self.send_header("WWW-Authenticate", "Basic")
                    self.end_headers()

            do_HEAD = do_GET

            def send_times(self):
                """Send the page of a package as JSON, since no other form says when a file was uploaded."""
                wheels = sorted(path.name for path in Path(f"{folder}{self.path}").glob("*.whl"))
                files = [
                    {"filename": name, "url": name, "hashes": {}, "upload-time": uploaded.get(name, LONG_AGO)}
                    for name in wheels
                ]
                page = {"meta": {"api-version": "1.1"}, "name": self.path.strip("/"), "files": files}
                self.send_response(200 if wheels else 404)
                self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
                self.end_headers()
                self.wfile.write(json.dumps(page).encode())

            def copyfile(self, source, outputfile):
                content = source.read()
                outputfile.write(content[: len(content) // 2] if cuts_off and self.path.endswith(".whl") else content)

            def log_message(self, *_):
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def holds_password(*folders):
    """The files below some folders that hold the password, or its form in a header."""
    forms = (PASSWORD.encode(), base64.b64encode(f"me:{PASSWORD}".encode()))
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return [file for file in files if any(form in file.read_bytes() for form in forms)]
