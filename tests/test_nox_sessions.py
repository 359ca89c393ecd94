"""The sessions for adopters, run by nox itself with a stand-in for the tool."""

import subprocess
import sys
import zipfile

import pytest

pytest.importorskip("nox")

NOXFILE = """
import functools
import nox
from mainstay import nox_sessions

nox.options.default_venv_backend = "uv"
for name in nox_sessions.__all__:
    body = getattr(nox_sessions, name)
    nox.session(functools.wraps(body)(functools.partial(body, install=["--offline", {wheel!r}])))
"""


@pytest.fixture
def project(tmp_path):
    """A folder whose noxfile installs a wheel with a command ``mainstay`` that prints its arguments."""
    wheel = tmp_path / "standin-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("standin.py", "import sys\ndef main():\n    print('called with', sys.argv[1:])\n")
        archive.writestr("standin-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: standin\nVersion: 1\n")
        archive.writestr("standin-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("standin-1.dist-info/entry_points.txt", "[console_scripts]\nmainstay = standin:main\n")
        archive.writestr("standin-1.dist-info/RECORD", "")
    (tmp_path / "noxfile.py").write_text(NOXFILE.format(wheel=str(wheel)))
    return tmp_path


@pytest.mark.parametrize(
    ("session", "command"),
    [
        ("gate", ["gate"]),
        ("calibrate", ["calibrate"]),
        ("accuracy", ["gate", "--only", "accuracy"]),
        ("performance", ["gate", "--only", "performance"]),
        ("doctor", ["doctor"]),
    ],
)
def test_session_installs_the_tool_and_passes_its_arguments_on(project, session, command):
    done = subprocess.run(
        [sys.executable, "-m", "nox", "-s", session, "--", "--seconds", "60"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert f"called with {[*command, '--seconds', '60']}" in done.stdout
