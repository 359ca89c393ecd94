"""The check of the public Python modules sees what breaks them, and nothing else."""

import re
import subprocess
import sys

import pytest

from scripts.public_api import PUBLIC_MODULES

pytest.importorskip("griffe")


@pytest.fixture
def check(root, tmp_path):
    """Compare a changed copy of the package with a release of it."""
    package = tmp_path / "src" / "mainstay"
    (package / "gates").mkdir(parents=True)
    for name in ("__init__.py", "nox_sessions.py", "gates/__init__.py", "gates/policy.py"):
        (package / name).write_bytes((root / "src" / "mainstay" / name).read_bytes())
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "release"], ["tag", "v1.0.0"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)

    def check(name, old, new):
        text = (package / name).read_text()
        assert old in text
        (package / name).write_text(text.replace(old, new))
        script = root / "scripts" / "public_api.py"
        return subprocess.run(
            [sys.executable, str(script), "v1.0.0"], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return check


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("def doctor(", "def physician(", id="function-gone"),
        pytest.param("*, install: Sequence[str] | None = None", "*, install: Sequence[str]", id="default-gone"),
    ],
)
def test_a_break_of_a_public_module_is_seen(check, old, new):
    done = check("nox_sessions.py", old, new)

    assert done.returncode == 1
    assert "nox_sessions.py" in done.stdout + done.stderr


def test_a_break_of_any_other_module_is_none(check):
    done = check("gates/policy.py", "def judge_gate(", "def judge_the_gate(")

    assert (done.returncode, done.stdout) == (0, "")


def test_checked_are_the_modules_that_are_promised(root):
    (promise,) = re.findall(
        r"^The public interface is (.*?)\.\s", (root / "MAINTAINING.md").read_text(), re.MULTILINE | re.DOTALL
    )

    assert tuple(re.findall(r"`(mainstay\.\w+)`", promise)) == PUBLIC_MODULES
