"""Repositories that a test makes."""

import subprocess


def git(folder, *arguments):
    """Run git there, with the identity that the fixture ``own_git_settings`` gives; returns the output."""
    command = ["git", "-C", str(folder), "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
