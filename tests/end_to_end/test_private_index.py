"""A gate of a project that takes a package from an index with a password."""

import pytest

from tests.index_server import PASSWORD, holds_password
from tests.revisions.small_packages import publish


@pytest.mark.slow
@pytest.mark.package_index
def test_a_password_is_in_nothing_that_a_gate_writes_or_prints(project, serve, tmp_path):
    publish(tmp_path / "private", "ours", "1.0")
    index = serve(tmp_path / "private")
    project.environ["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    project.environ["HF_TOKEN"] = PASSWORD
    project.edit(
        "pyproject.toml", 'requires-python = ">=3.11"\n', 'requires-python = ">=3.11"\ndependencies = ["ours"]\n'
    )
    address = f"http://me:{PASSWORD}@{index.place}/simple"
    settings = f'\n[[tool.uv.index]]\nname = "ours"\nurl = "{address}"\nexplicit = true\n'
    settings += '[tool.uv.sources]\nours = { index = "ours" }\n'
    (project.root / "pyproject.toml").write_text((project.root / "pyproject.toml").read_text() + settings)
    fetch = "import os, sys; print(sorted(os.environ.items()), file=sys.stderr)"
    project.write("benchmarks/fetch.py", fetch)
    project.edit("pyproject.toml", "proof = false\n", 'proof = false\nprepare = ["python", "benchmarks/fetch.py"]\n')
    project.commit("take a private package")
    project.edit("src/subject/model.py", "NUM_TEST = 2000", "NUM_TEST = 2000  # a comment")
    reports = tmp_path / "reports"
    reports.mkdir()
    places = [f"--{kind}={reports / kind}" for kind in ("json", "markdown", "html", "junit")]

    done = project.gate(*places)

    assert done.status == 0, done.stdout + done.stderr
    assert done.run["environments"][1]["packages"]["ours"] == "1.0"
    assert "'HF_TOKEN', '****'" in " ".join(done.run["notes"])
    assert len(list(reports.iterdir())) == 4
    assert PASSWORD not in done.stdout + done.stderr
    assert holds_password(project.root / ".mainstay", reports, tmp_path / "cache") == []

    project.edit("pyproject.toml", '["ours"]', '["ours>=9"]')
    failed = project.gate()

    assert failed.status in {1, 4}
    assert PASSWORD not in failed.stdout + failed.stderr
    assert holds_password(project.root / ".mainstay", tmp_path / "cache") == []
