import os
import subprocess

import pytest


@pytest.fixture
def make_repository(tmp_path):
    """Commit files to a repository of the test's own."""

    def make(files, name="repository"):
        root = tmp_path / name
        for path, text in files.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        identity = ("-c", "user.name=A maintainer", "-c", "user.email=maintainer@example.invalid")
        for command in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "first")):
            subprocess.run(
                ["git", *identity, *command], cwd=root, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
            )
        return root

    return make
