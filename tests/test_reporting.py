"""What the report of a failed test of this suite shows."""

from pathlib import Path

FAILING = """
import subprocess
import pytest

@pytest.mark.parametrize(
    "error",
    [
        subprocess.CalledProcessError(3, "bytes", b"said in bytes", b"failed in bytes"),
        subprocess.CalledProcessError(3, "text", "said in text", "failed in text"),
        subprocess.TimeoutExpired("slow", 3, b"said in time", b"failed in time"),
        subprocess.CalledProcessError(3, "silent"),
    ],
)
def test_command(error):
    raise error
"""


def test_what_a_failed_command_has_written_is_shown(pytester):
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makepyfile(FAILING)

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    result.assert_outcomes(failed=4)
    heads = "*- stdout of the command -*", "*- stderr of the command -*"
    result.stdout.fnmatch_lines(
        [
            line
            for way in ("bytes", "text", "time")
            for line in (heads[0], f"said in {way}", heads[1], f"failed in {way}")
        ]
    )
