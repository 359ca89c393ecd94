"""The table of imports refuses what its rows do not name."""

import subprocess
import sys

import pytest

pytest.importorskip("importlinter")

CONTRACTS = """
[tool.importlinter]
root_packages = ["boat"]
include_external_packages = true
contract_types = [
  "import_table: scripts.import_contracts.ImportTable",
  "standard_library_only: scripts.import_contracts.StandardLibraryOnly",
]
[[tool.importlinter.contracts]]
name = "table"
type = "import_table"
package = "boat"
rows = ["hull keel -> ", "mast -> hull"]
[[tool.importlinter.contracts]]
name = "alone"
type = "standard_library_only"
modules = ["boat.keel"]
except_for = ["pytest"]
"""


@pytest.fixture
def lint(root, tmp_path):
    def run(**modules):
        package = tmp_path / "boat"
        package.mkdir()
        (tmp_path / "pyproject.toml").write_text(CONTRACTS)
        for name, text in {"__init__": "", "hull": "", "keel": "", "mast": "", **modules}.items():
            (package / f"{name}.py").write_text(text)
        return subprocess.run(
            [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])"],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{tmp_path}:{root}", "PATH": "", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_allowed_arrows_are_kept(lint):
    done = lint(mast="from boat import hull\nimport numpy", keel="import json\nimport pytest")

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("modules", "finding"),
    [
        pytest.param({"hull": "from boat import mast"}, "boat.hull imports boat.mast", id="upward"),
        pytest.param({"mast": "def f():\n    import boat.keel"}, "boat.mast imports boat.keel", id="late"),
        pytest.param({"sail": ""}, "boat.sail has no row", id="no-row"),
        pytest.param({"keel": "import numpy"}, "boat.keel imports numpy", id="third-party"),
    ],
)
def test_other_arrows_are_findings(lint, modules, finding):
    done = lint(**modules)

    assert done.returncode == 1
    assert finding in done.stdout
