"""The table of imports refuses what its rows do not name."""

import ast
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
rows = ["hull keel -> ", "mast -> hull", "deck -> keel", "deck.ladder -> hull", "crew -> deck mast.top"]
[[tool.importlinter.contracts]]
name = "alone"
type = "standard_library_only"
packages = ["boat.keel"]
except_for = ["pytest"]
"""

MODULES = [
    *("__init__", "hull", "crew", "keel.__init__", "keel.bolt", "mast.__init__", "mast.top", "mast.foot"),
    *("deck.__init__", "deck.ladder", "deck.plank"),
]


@pytest.fixture
def lint(root, tmp_path):
    def run(modules, rows=()):
        for name, text in {**dict.fromkeys(MODULES, ""), **modules}.items():
            path = tmp_path / "boat" / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        more = "".join(f', "{row}"' for row in rows)
        (tmp_path / "pyproject.toml").write_text(CONTRACTS.replace(' mast.top"]', f' mast.top"{more}]'))
        return subprocess.run(
            [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])"],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{tmp_path}:{root}", "PATH": "", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    "modules",
    [
        pytest.param({"mast.foot": "from boat import hull\nimport numpy"}, id="named"),
        pytest.param({"keel.bolt": "import json\nimport boat.keel\nimport pytest"}, id="standard-library"),
        pytest.param({"mast.foot": "from boat.mast import top"}, id="inside-a-folder"),
        pytest.param({"deck.ladder": "from boat.deck import plank\nfrom boat import hull"}, id="module-with-a-row"),
        pytest.param({"crew": "from boat.mast import top\nfrom boat.deck import plank"}, id="one-module-of-a-folder"),
    ],
)
def test_allowed_arrows_are_kept(lint, modules):
    done = lint(modules)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("modules", "finding"),
    [
        pytest.param({"hull": "from boat import mast"}, "boat.hull imports boat.mast", id="upward"),
        pytest.param({"mast.foot": "def f():\n    import boat.keel"}, "boat.mast.foot imports boat.keel", id="late"),
        pytest.param({"sail": ""}, "boat.sail has no row", id="no-row"),
        pytest.param({"sail.__init__": "", "sail.jib": ""}, "boat.sail has no row", id="folder-without-a-row"),
        pytest.param({"keel.bolt": "import numpy"}, "boat.keel.bolt imports numpy", id="third-party"),
        pytest.param(
            {"deck.ladder": "from boat import keel"}, "boat.deck.ladder imports boat.keel", id="row-of-its-own"
        ),
        pytest.param(
            {"deck.plank": "from boat.deck import ladder"}, "boat.deck.plank imports boat.deck", id="to-the-edge"
        ),
        pytest.param(
            {"crew": "from boat.deck import ladder"}, "boat.crew imports boat.deck.ladder", id="through-a-folder"
        ),
        pytest.param({"crew": "from boat.mast import foot"}, "boat.crew imports boat.mast.foot", id="another-module"),
    ],
)
def test_other_arrows_are_findings(lint, modules, finding):
    done = lint(modules)

    assert done.returncode == 1
    assert finding in done.stdout


@pytest.mark.parametrize("row", ["anchor -> hull", "mast.foot -> anchor"])
def test_a_row_of_what_does_not_exist_is_a_finding(lint, row):
    done = lint({}, rows=[row])

    assert done.returncode == 1
    assert "boat.anchor, which does not exist" in done.stdout


LAZY = {"src/mainstay/cli.py", "src/mnist_reference/__main__.py"}
"""Where the project's own modules are imported late, so that ``--help`` answers at once."""


def test_own_modules_are_imported_late_at_the_command_lines_alone(root):
    late = {
        file.relative_to(root).as_posix()
        for file in (root / "src").rglob("*.py")
        for function in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        if name.partition(".")[0] in {"mainstay", "mnist_reference"}
    }

    assert late == LAZY
