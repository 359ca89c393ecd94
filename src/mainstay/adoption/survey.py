"""Survey of a project: its build, candidates for workloads, and its CI services.

The files of the project are read and parsed, never imported or run.

- :func:`survey_project`: the whole :class:`Survey`.
- :func:`is_of_ci`: whether a file is of a CI service.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
import tomllib
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from mainstay.project.configuration import Configuration, read_configuration
from mainstay.project.requirements import normal_name, requirement_name
from mainstay.project.scripts import importable_names
from mainstay.records.errors import UsageError

FIXTURES = ("trial", "benchmark", "codspeed_benchmark", "import_timer", "counts")
"""Fixtures that make a test a workload."""

DEPENDENT_FIXTURES = ("benchmark_weave",)
"""Fixtures of the gate that use one of :data:`FIXTURES`."""

WHOLE_TEST_MARKERS = ("benchmark", "codspeed_benchmark")
"""Markers by which a whole test is timed."""

SUITE_PACKAGES = ("pytest-benchmark", "pytest-codspeed")
"""Packages that benchmark suites use."""

WORKFLOW = re.compile(r"\.github/(workflows/[^/]+|dependabot)\.ya?ml|\.gitlab-ci\.yml")
"""Paths of the files that configure GitHub Actions, dependabot and GitLab CI."""

ASV_FUNCTION = re.compile(r"(?:time|mem|peakmem|track)_\w")
"""Names of functions that asv measures."""

SERVICES = {
    "GitHub Actions": ".github",
    "GitLab CI": ".gitlab-ci.yml",
    "CircleCI": ".circleci",
    "Azure Pipelines": "azure-pipelines.yml",
    "Travis CI": ".travis.yml",
}
"""CI services, and the file or folder at the top of a repository in which each one looks for its configuration."""

MAX_SOURCE_BYTES = 1_000_000
"""Largest Python file that is parsed; larger ones are probably generated."""

PRINTED = re.compile(r"\b(test|val(?:id(?:ation)?)?|eval)?[ _-]*(acc(?:uracy)?|loss)\b", re.IGNORECASE)
"""Pattern of a word that names the number that a script prints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A training script in the built package.

    Attributes:
        path: Path of the file.
        module: Full name of the installed module.
        metric: The number that it prints: ``accuracy`` or ``loss``; empty if this is unknown.
        takes_seed: Whether it has an option ``--seed``.
        short_options: Options that shorten it, such as ``--epochs``.
        imports: Packages that it imports.
    """

    path: str
    module: str
    metric: str = ""
    takes_seed: bool = False
    short_options: tuple[str, ...] = ()
    imports: frozenset[str] = frozenset()


class SuiteFixture(NamedTuple):
    """A fixture that a test which measures uses, and that a ``conftest.py`` defines.

    Attributes:
        test_file: File of the test.
        name: Name of the fixture.
        conftest: The ``conftest.py``.
    """

    test_file: str
    name: str
    conftest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """Result of a survey.

    Attributes:
        backend: Build backend of the package, such as ``hatchling``; ``setup.py``; or ``none`` for scripts without
            packaging.
        layout: ``src``, ``flat`` or ``scripts``.
        packages: Top-level names that can be imported, the main one first.
        pyproject: Text of pyproject.toml; empty if it does not exist.
        document: Parsed pyproject.toml.
        configuration: ``[tool.mainstay]``; ``None`` if there is no such table.
        ignored: Text of .gitignore.
        suite_files: Test files that use a fixture or marker of benchmarks.
        suite_size: Number of test functions in these files.
        suite_fixtures: Fixtures of each ``conftest.py`` that these test functions use, in whichever folder above them.
        asv: Folder of a suite of asv; empty if there is none.
        suite_imports: Packages that the suite, its conftest and its helpers import, except the project's own.
        other_tests: Files that pytest collects too, but that measure nothing.
        package_imports: Packages that an import of the main package needs, or one of its modules that the suite imports.
        listed: Requirements in files that no installer reads by default, by normalised name: ``requirements/test.txt``,
            ``environment.yml``.
        scripts: Training scripts in the package.
        inference: Functions for inference, by their full name.
        stored_results: Files of stored evaluations.
        tests: Folder of the tests; empty if there is none.
        services: CI services that have a configuration file in the repository.
        workflows: Files that configure CI or dependabot, with their texts.
        hooks: Hook managers that have a configuration file in the project.
        default_branch: The branch that changes are merged into; empty if git does not know it.
        gpu: Name of the GPU; empty if there is none.
        files: All files that git tracks or would add.
    """

    backend: str
    layout: str
    packages: tuple[str, ...]
    pyproject: str
    document: Mapping[str, Any]
    configuration: Configuration | None
    ignored: str
    suite_files: tuple[str, ...]
    suite_size: int
    suite_fixtures: frozenset[SuiteFixture]
    asv: str
    suite_imports: frozenset[str]
    other_tests: tuple[str, ...]
    package_imports: frozenset[str]
    listed: Mapping[str, str]
    scripts: tuple[Script, ...]
    inference: tuple[str, ...]
    stored_results: tuple[str, ...]
    tests: str
    services: tuple[str, ...]
    workflows: Mapping[str, str]
    hooks: tuple[str, ...]
    default_branch: str
    gpu: str
    files: frozenset[str]

    @property
    def groups(self) -> Mapping[str, Sequence[Any]]:
        """Dependency groups by name."""
        return dict(self.document.get("dependency-groups", {}))

    @property
    def in_groups(self) -> Mapping[str, str]:
        """Requirements in dependency groups, by normalised name."""
        texts = (text for entries in self.groups.values() for text in entries if isinstance(text, str))
        return {requirement_name(text): text for text in texts}

    @property
    def extras(self) -> Mapping[str, Sequence[str]]:
        """Optional dependencies by the extra's name."""
        project = self.document.get("project", {})
        return dict(project.get("optional-dependencies", {}))

    def describe(self) -> tuple[str, ...]:
        """Describe the survey for the user, one line for each fact."""
        lines = [f"packaging: {self.backend}, layout: {self.layout}, package: {', '.join(self.packages) or 'none'}"]
        if self.suite_files:
            lines.append(f"benchmarks: {self.suite_size} tests in {', '.join(_shortened(self.suite_files))}")
        if self.asv:
            lines.append(f"benchmarks of asv: {self.asv}")
        if self.scripts:
            lines.append(f"training scripts: {', '.join(_shortened([script.path for script in self.scripts]))}")
        if self.inference:
            lines.append(f"functions that infer: {', '.join(_shortened(self.inference))}")
        if self.stored_results:
            lines.append(f"stored results: {', '.join(_shortened(self.stored_results))}")
        lines.append(f"tests: {self.tests or 'none'}, CI: {', '.join(self.services) or 'none'}")
        if self.hooks:
            lines.append(f"hooks: {', '.join(self.hooks)}, which see the new files when they are committed")
        lines.append(f"default branch: {self.default_branch or 'git cannot tell'}, GPU: {self.gpu or 'none'}")
        return tuple(lines)


def survey_project(
    files: Iterable[str],
    read: Callable[[str], str | None],
    *,
    default_branch: str = "",
    gpu: str = "",
    where: str = "pyproject.toml",
    ci: Mapping[str, str] | None = None,
) -> Survey:
    """Survey a project.

    Args:
        files: All files of the project that are not ignored, relative to its folder.
        read: Function that gives the text of a file, or ``None`` if it does not exist or is not text.
        default_branch: Default branch according to git.
        gpu: Name of the GPU.
        where: Name of pyproject.toml in messages.
        ci: Files of CI services at the top of the repository, with their texts; ``None`` if the project is at the top.

    Raises:
        ConfigurationError: If pyproject.toml, or ``[tool.mainstay]`` in it, cannot be read.
        UsageError: If there is no Python code.
    """
    names = frozenset(files)
    sources = sorted(name for name in names if name.endswith(".py"))
    pyproject = read("pyproject.toml") or ""
    configuration = read_configuration(pyproject, where)
    document = tomllib.loads(pyproject)
    if not sources and not document.get("project"):
        raise UsageError(
            "no Python project: there is neither a pyproject.toml with a [project] nor a Python file",
            looked_in=where.removesuffix("pyproject.toml") or ".",
            next_step="name the project's folder with -C, or git add its files",
        )
    backend = _backend(document, names)
    layout, packages = _packages(document, names, backend)
    trees = {name: tree for name in sources if (tree := _parse(read(name))) is not None}
    suite = _suite({name: tree for name, tree in trees.items() if _could_be_test(name)})
    own = {*packages, *(PurePosixPath(name).parts[0].removesuffix(".py") for name in names)}
    known = own | set(sys.stdlib_module_names) | {"pytest", "__future__"}
    prefix = _prefix(layout)
    parts = {file for name in packages[:1] for file in _files_of(name.split("."), [prefix], trees)}
    helpers = {name: tree for name, tree in trees.items() if _module_of(name, layout, packages) == ""}
    asv = _asv_folder(names, read, trees)
    measuring = {*suite, *(name for name in helpers if asv and PurePosixPath(name).is_relative_to(asv))}
    imported = {module for name in measuring for module in _imports(trees[name])}
    of_suite = {*measuring, *_conftests(suite, names)}
    imported |= reached_imports(of_suite, helpers, [""])
    through_package = reached_imports(of_suite, trees, ["", prefix]) - imported
    if ci is None:
        ci = {name: read(name) or "" for name in names if is_of_ci(name)}
    return Survey(
        backend=backend,
        layout=layout,
        packages=packages,
        pyproject=pyproject,
        document=document,
        configuration=configuration if "mainstay" in document.get("tool", {}) else None,
        ignored=read(".gitignore") or "",
        suite_files=tuple(sorted(suite)),
        suite_size=sum(map(len, suite.values())),
        suite_fixtures=frozenset(fixture for tests in suite.values() for fixtures in tests for fixture in fixtures),
        asv=asv,
        suite_imports=frozenset(imported - known),
        other_tests=tuple(sorted(name for name in trees.keys() - suite.keys() if _is_named_as_test(name))),
        package_imports=frozenset((reached_imports(parts, trees, [prefix]) | through_package) - known),
        listed=_listed(names, read),
        scripts=tuple(_scripts(trees, layout, packages)),
        inference=tuple(_inference(trees, layout, packages)),
        stored_results=tuple(sorted(filter(_is_stored_result, names))),
        tests=_tests_folder(names),
        services=tuple(service for service, place in SERVICES.items() if _has(ci, place)),
        workflows={name: text for name, text in ci.items() if WORKFLOW.fullmatch(name)},
        hooks=tuple(name for name in (".pre-commit-config.yaml", "lefthook.yml", ".husky") if _has(names, name)),
        default_branch=default_branch,
        gpu=gpu,
        files=names,
    )


def is_of_ci(name: str) -> bool:
    """Whether a file is of a CI service, by its path in the repository.

    Example:
        >>> is_of_ci(".github/workflows/gate.yml"), is_of_ci("docs/.gitlab-ci.yml")
        (True, False)
    """
    return PurePosixPath(name).parts[0] in SERVICES.values()


def count_workloads(texts: Iterable[str], *, is_asv: bool = False) -> int:
    r"""Count the tests that seem to measure in the Python files of a folder; files that do not parse have none.

    Args:
        texts: Of the files, with those of conftest.py, whose fixtures may measure.
        is_asv: Whether functions that asv would measure count too.

    Example:
        >>> count_workloads(["def test_speed(benchmark): ..."]), count_workloads(["def test_speed(): ..."])
        (1, 0)
        >>> count_workloads(["class Suite:\n    def time_sort(self): ..."], is_asv=True)
        1
    """
    trees = [tree for text in texts if (tree := _parse(text)) is not None]
    fixtures = [_fixtures(trees)]
    classes = {each.name: each for tree in trees for each, *_ in _nested_classes(tree)}
    measuring = {test for tree in trees for test in _measuring_tests(tree, fixtures, classes)}
    return len(measuring) + sum(_num_asv_functions(tree) for tree in trees if is_asv)


def _has(names: Iterable[str], wanted: str) -> bool:
    return any(name == wanted or name.startswith(f"{wanted}/") for name in names)


def _shortened(names: Sequence[str]) -> list[str]:
    """The first names, and the number of others."""
    return [*names[:3], *([f"{len(names) - 3} more"] if len(names) > 3 else [])]


# --- packaging ---------------------------------------------------------------------------------------------------------


def _backend(document: Mapping[str, Any], names: frozenset[str]) -> str:
    """The build backend of the package."""
    system = document.get("build-system", {})
    if backend := str(system.get("build-backend", "")):
        required = " ".join(map(str, system.get("requires", [])))
        name = backend.partition(".")[0].partition(":")[0]
        if name == "setuptools":
            return "setuptools-scm" if "setuptools_scm" in required or "setuptools-scm" in required else "setuptools"
        return {"poetry": "poetry-core", "pdm": "pdm-backend", "mesonpy": "meson-python"}.get(name, name)
    if "setup.py" in names:
        return "setup.py"
    return "setuptools" if document.get("project") or system else "none"


def _packages(document: Mapping[str, Any], names: frozenset[str], backend: str) -> tuple[str, tuple[str, ...]]:
    """The layout, and the names that can be imported once the package is installed."""
    for folder in ("src", "lib", "python"):
        inner = [name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/")]
        if packages := importable_names(inner, namespaces=True):
            return ("src" if folder == "src" else f"src ({folder})"), _main_first(packages, document)
    if backend == "none":
        return "scripts", tuple(importable_names(names, namespaces=True))
    flat = importable_names(names) or importable_names(names, namespaces=True)
    by_name = [name for name in flat if normal_name(name) == _project_name(document)]
    packages = by_name or [name for name in flat if f"{name}.py" not in names] or flat
    return "flat", tuple(packages)


def _project_name(document: Mapping[str, Any]) -> str:
    named = document.get("project", {}).get("name") or document.get("tool", {}).get("poetry", {}).get("name")
    return normal_name(str(named or ""))


def _main_first(packages: Sequence[str], document: Mapping[str, Any]) -> tuple[str, ...]:
    """The packages, with the one named like the project first."""
    return tuple(sorted(packages, key=lambda name: normal_name(name) != _project_name(document)))


# --- what could be measured --------------------------------------------------------------------------------------------


def _parse(text: str | None) -> ast.Module | None:
    if text is None or len(text) > MAX_SOURCE_BYTES:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _could_be_test(name: str) -> bool:
    """Whether a file may contain tests, by its name or its folder."""
    path = PurePosixPath(name)
    return bool(re.search(r"test|bench|perf", path.stem)) or any("bench" in part for part in path.parts[:-1])


def _is_named_as_test(name: str) -> bool:
    """Whether pytest collects a file by default."""
    return re.fullmatch(r"test_.*|.*_test", PurePosixPath(name).stem) is not None


_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Fixture(NamedTuple):
    """A fixture: the file that defines it, the fixtures that it takes, and whether each test uses it unasked."""

    file: str
    takes: frozenset[str]
    is_autouse: bool


def _suite(trees: Mapping[str, ast.Module]) -> dict[str, list[frozenset[SuiteFixture]]]:
    """For each file with tests that measure: the fixtures of ``conftest.py`` files that each of these tests uses."""
    fixtures = {name: _fixtures([tree], name) for name, tree in trees.items()}
    found: dict[str, list[frozenset[SuiteFixture]]] = {}
    for name, tree in trees.items():
        above = [str(folder / "conftest.py") for folder in PurePosixPath(name).parents]
        visible = [fixtures[place] for place in dict.fromkeys([name, *above]) if place in fixtures]
        for used in _measuring_tests(tree, visible, {}).values():
            of_conftests = (SuiteFixture(name, each, place) for each, place in used if place not in {"", name})
            found.setdefault(name, []).append(frozenset(of_conftests))
    return found


def _measuring_tests(
    tree: ast.Module, visible: Sequence[Mapping[str, _Fixture]], elsewhere: Mapping[str, ast.ClassDef]
) -> dict[_Function, set[tuple[str, str]]]:
    """For each test function that measures: the fixtures that it uses, as :func:`_used_fixtures` names them.

    Args:
        tree: Of a module.
        visible: Fixtures that the module itself and each ``conftest.py`` that pytest reads for it define outside of
            classes, the nearest first.
        elsewhere: Classes of other modules, by name, from which classes of the module may inherit.
    """
    markers, of_module = _named_markers(tree), list(_marks_of_all(tree))
    nested = list(_nested_classes(tree))
    classes = {**elsewhere, **{each.name: each for each, *_ in nested}}
    found: dict[_Function, set[tuple[str, str]]] = {}
    for around in [(), *nested]:
        lineages = [_lineage(each, classes) for each in around]
        of_classes = [mark for each in chain.from_iterable(lineages) for mark in _marks_of_all(each)]
        places = [*map(_inherited_fixtures, lineages), *visible]
        for test in chain.from_iterable(map(_tests, lineages[0] if lineages else [tree])):
            marks = [*test.decorator_list, *of_classes, *of_module]
            asked = {*_arguments(test), *_marked_fixtures(marks)} - set(_parameters(marks))
            used = _used_fixtures(asked, places)
            if _is_marked(marks, markers) or any(name in (*FIXTURES, *DEPENDENT_FIXTURES) for name, _ in used):
                found.setdefault(test, set()).update(used)  # a test of a base runs in each class that inherits it
    return found


def _nested_classes(scope: ast.Module | ast.ClassDef) -> Iterator[tuple[ast.ClassDef, ...]]:
    """Each class in a module or a class, followed by the classes between the two, the innermost first."""
    for node in _members(scope):
        if isinstance(node, ast.ClassDef):
            yield (node,)
            yield from ((*inner, node) for inner in _nested_classes(node))


def _lineage(of: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """A class and those that it inherits from, as far as they are known, each before its bases."""
    found, waiting = [of], [of]
    while waiting:
        names = map(_last_name, waiting.pop(0).bases)
        new = [classes[name] for name in names if name in classes and classes[name] not in found]
        found += new
        waiting += new
    return found


def _tests(scope: ast.Module | ast.ClassDef) -> Iterator[_Function]:
    """Test functions in a module or a class, but not those in classes inside it."""
    return (function for function in _functions(scope) if re.match("test|bench", function.name))


def _functions(scope: ast.Module | ast.ClassDef) -> Iterator[_Function]:
    """Functions in a module or a class, but not those in classes inside it."""
    return (node for node in _members(scope) if isinstance(node, _Function))


def _members(scope: ast.Module | ast.ClassDef) -> Iterator[ast.AST]:
    """The nodes of a module or a class, with the classes directly in it, but not what is inside these."""
    waiting = deque(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.popleft()
        yield node
        if not isinstance(node, ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def _used_fixtures(asked: Iterable[str], visible: Sequence[Mapping[str, _Fixture]]) -> set[tuple[str, str]]:
    """Names of the fixtures that pytest sets up, each with the file that defines it, empty for a class's or a plugin's.

    Args:
        asked: Names that a test asks for.
        visible: Fixtures of its class, of the classes around it, of its file and of each ``conftest.py`` above it, the
            nearest first.
    """
    unasked = (name for place in visible for name, fixture in place.items() if fixture.is_autouse)
    waiting = [(name, 0) for name in (*asked, *unasked)]
    seen, found = set(waiting), set()
    while waiting:
        name, num_nearer = waiting.pop()
        definitions = [place[name] for place in visible if name in place][num_nearer:]
        found.add((name, definitions[0].file if definitions else ""))
        takes = definitions[0].takes if definitions else frozenset()
        new = {(taken, num_nearer + 1 if taken == name else 0) for taken in takes} - seen  # its own name: the next one
        seen |= new
        waiting += new
    return found


def _inherited_fixtures(lineage: Sequence[ast.ClassDef]) -> dict[str, _Fixture]:
    """Fixtures that a class has, by name: its own in place of those of its bases.

    Args:
        lineage: The class, and those that it inherits from, each before its bases.
    """
    return {name: fixture for each in reversed(lineage) for name, fixture in _fixtures([each]).items()}


def _fixtures(scopes: Iterable[ast.Module | ast.ClassDef], file: str = "") -> dict[str, _Fixture]:
    """Fixtures that modules or classes define, by name, without those that classes in them define."""
    found: dict[str, _Fixture] = {}
    for function in chain.from_iterable(map(_functions, scopes)):
        for decorator in function.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if _last_name(called) != "fixture":
                continue
            given = {each.arg: each.value for each in decorator.keywords} if isinstance(decorator, ast.Call) else {}
            name = next(_strings(given["name"]), function.name) if "name" in given else function.name
            is_autouse = "autouse" in given and ast.unparse(given["autouse"]) != "False"
            known = found.get(name, _Fixture(file, frozenset(), is_autouse=False))
            takes = known.takes | set(_arguments(function))
            found[name] = _Fixture(file, takes, is_autouse=known.is_autouse or is_autouse)
    return found


def _num_asv_functions(tree: ast.Module) -> int:
    return sum(
        isinstance(node, ast.FunctionDef) and ASV_FUNCTION.match(node.name) is not None for node in ast.walk(tree)
    )


def _asv_folder(names: frozenset[str], read: Callable[[str], str | None], trees: Mapping[str, ast.Module]) -> str:
    """The folder that a configuration of asv in the project names, if functions that asv measures are in it."""
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.name != "asv.conf.json":
            continue
        named = re.search(
            r'(?:^|[{,])\s*"benchmark_dir"\s*:\s*"([^"]*)"', read(name) or "", re.MULTILINE
        )  # it may hold comments
        folder = posixpath.normpath(str(path.parent / (named[1] if named else "benchmarks")))
        inside = [tree for file, tree in trees.items() if PurePosixPath(file).is_relative_to(folder)]
        if folder != "." and any(map(_num_asv_functions, inside)):
            return folder
    return ""


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Names of the arguments of a test or a fixture, which are fixtures."""
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return (argument.arg for argument in arguments)


def _parameters(marks: Iterable[ast.expr]) -> Iterator[str]:
    """Names of arguments that ``pytest.mark.parametrize`` gives itself, in place of a fixture."""
    calls = (mark for mark in marks if isinstance(mark, ast.Call) and _last_name(mark.func) == "parametrize")
    for call in calls:
        if call.args and not any(keyword.arg == "indirect" for keyword in call.keywords):
            yield from (name.strip() for text in _strings(call.args[0]) for name in text.split(","))


def _marked_fixtures(marks: Iterable[ast.expr]) -> Iterator[str]:
    """Names of fixtures in ``pytest.mark.usefixtures``."""
    for node in (node for mark in marks for node in ast.walk(mark)):
        if isinstance(node, ast.Call) and _last_name(node.func) == "usefixtures":
            yield from (name for argument in node.args for name in _strings(argument))


def _marks_of_all(scope: ast.Module | ast.ClassDef) -> Iterator[ast.expr]:
    """Expressions that mark all tests of a module or a class."""
    if isinstance(scope, ast.ClassDef):
        yield from scope.decorator_list
    for node in scope.body:
        if isinstance(node, ast.Assign) and "pytestmark" in map(_last_name, node.targets):
            yield node.value


def _named_markers(tree: ast.Module) -> set[str]:
    """Names that a module gives to markers by which a whole test is timed."""
    assigned = [node for node in tree.body if isinstance(node, ast.Assign) and _is_marked([node.value], ())]
    return {_last_name(target) for node in assigned for target in node.targets}


def _is_marked(marks: Iterable[ast.expr], markers: Container[str]) -> bool:
    """Whether expressions contain ``pytest.mark.benchmark`` or a similar marker, or one of some names of markers."""
    return any(
        _is_marker(node) or (isinstance(node, ast.Name) and node.id in markers)
        for mark in marks
        for node in ast.walk(mark)
    )


def _is_marker(node: ast.AST) -> bool:
    """Whether a node is ``pytest.mark.benchmark`` or a similar marker, also if ``mark`` itself was imported."""
    return isinstance(node, ast.Attribute) and node.attr in WHOLE_TEST_MARKERS and _last_name(node.value) == "mark"


def _last_name(node: ast.expr) -> str:
    """The name at the end of a dotted one, such as ``mark`` of ``pytest.mark``; empty for another expression."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _imports(tree: ast.Module) -> Iterator[str]:
    """Top-level names that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def reached_imports(start: Iterable[str], trees: Mapping[str, ast.Module], roots: Sequence[str]) -> set[str]:
    """Top-level names that are imported when some files are, by them or by files of the project that they import.

    What may fail without harm is left out: imports in functions, in ``try`` and under a condition.

    Args:
        start: Paths of the files.
        trees: Files of the project that are followed, by path.
        roots: Folders on the import path; the folder of the importing file is searched first, unless it is a package.

    Example:
        >>> files = {"a.py": ast.parse("import b"), "b.py": ast.parse("import torch")}
        >>> sorted(reached_imports(["a.py"], files, [""]))
        ['b', 'torch']
    """
    waiting = [name for name in start if name in trees]
    seen, found = set(waiting), set()
    while waiting:
        name = waiting.pop()
        folder = PurePosixPath(name).parent
        for level, parts in _executed_imports(trees[name]):
            if level:
                above = folder.parts[: len(folder.parts) - level + 1]
                files = _files_of(parts, ["/".join(above)], trees)
            else:
                found.add(parts[0])
                beside = [] if f"{folder}/__init__.py" in trees else [str(folder)]
                files = _files_of(parts, [*beside, *roots], trees)
            waiting += [file for file in files if file not in seen]
            seen.update(files)
    return found


def _executed_imports(tree: ast.Module) -> Iterator[tuple[int, Sequence[str]]]:
    """Modules that are imported with a file: how many dots stand before the name, and its parts."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from ((0, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            yield from ((node.level, [*parts, alias.name]) for alias in node.names)


def _files_of(parts: Sequence[str], roots: Iterable[str], trees: Mapping[str, ast.Module]) -> list[str]:
    """Files that an import executes: those of the packages on the way, and the module's; from the first root that has any."""
    for root in roots:
        found = []
        for length in range(1, len(parts) + 1):
            place = PurePosixPath(root, *parts[:length])
            found += [file for file in (f"{place}.py", f"{place}/__init__.py") if file in trees]
        if found:
            return found
    return []


def _conftests(files: Iterable[str], names: Iterable[str]) -> set[str]:
    """The conftest.py of the folders of some files, and of those above them."""
    folders = {parent for name in files for parent in PurePosixPath(name).parents}
    return {str(folder / "conftest.py") for folder in folders} & set(names)


def _listed(names: Iterable[str], read: Callable[[str], str | None]) -> dict[str, str]:
    """Requirements in files that people install from by hand, by normalised name."""
    found: dict[str, str] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        if re.fullmatch(r"environment.*\.ya?ml", path.name):
            pattern = r"^\s*-\s*['\"]?(?:[\w.-]+::)?([A-Za-z0-9][\w.-]*)"
        elif path.suffix in {".txt", ".in"} and "requirements" in name:
            pattern = r"^([A-Za-z0-9][^#;\\]*?)\s*(?:[#;\\].*)?$"
        else:
            continue
        for match in re.finditer(pattern, read(name) or "", re.MULTILINE):
            text = {"pytorch": "torch"}.get(match[1], match[1])
            found.setdefault(requirement_name(text), text)
    return found


def _module_of(name: str, layout: str, packages: Sequence[str]) -> str:
    """Full name of a file's module once the package is installed; empty if it is not part of the package."""
    prefix = _prefix(layout)
    if prefix and not name.startswith(f"{prefix}/"):
        return ""
    parts = PurePosixPath(name.removeprefix(f"{prefix}/") if prefix else name).with_suffix("").parts
    if not parts or parts[0] not in packages or not all(part.isidentifier() for part in parts):
        return ""
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _prefix(layout: str) -> str:
    """The folder that is put on the import path; empty for that of the project."""
    return layout.removeprefix("src (").removesuffix(")") if layout.startswith("src") else ""


def _scripts(trees: Mapping[str, ast.Module], layout: str, packages: Sequence[str]) -> Iterator[Script]:
    """Training scripts in the package, those with "train" in their name first."""
    found = [name for name, tree in trees.items() if _trains(name, tree)]
    for name in sorted(found, key=lambda name: ("train" not in PurePosixPath(name).stem, len(name), name)):
        module = _module_of(name, layout, packages)
        if not module:
            continue
        texts = list(_strings(trees[name]))
        yield Script(
            path=name,
            module=module.removesuffix(".__main__"),
            metric=_printed_metric(texts),
            takes_seed="--seed" in texts,
            short_options=tuple(text for text in ("--epochs", "--num-epochs", "--steps") if text in texts),
            imports=frozenset(_imports(trees[name])),
        )


def _trains(name: str, tree: ast.Module) -> bool:
    """Whether a file is a training program: it has a main block, and takes optimiser steps or is named like one."""
    if _could_be_test(name) or not _is_program(name, tree):
        return False
    calls = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return "backward" in calls or re.search("train|fit", PurePosixPath(name).stem) is not None


def _is_program(name: str, tree: ast.Module) -> bool:
    if PurePosixPath(name).name == "__main__.py":
        return True
    return any(
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
        for node in tree.body
    )


def _strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _printed_metric(texts: Sequence[str]) -> str:
    """The metric that a script seems to print; an accuracy is preferred to a loss."""
    found = {match[2].lower()[:3] for text in texts for match in PRINTED.finditer(text)}
    return "accuracy" if "acc" in found else "loss" if "los" in found else ""


def _inference(trees: Mapping[str, ast.Module], layout: str, packages: Sequence[str]) -> Iterator[str]:
    """Public functions of the package whose names suggest inference."""
    for name in sorted(trees):
        module = _module_of(name, layout, packages)
        if not module or _could_be_test(name):
            continue
        for node in trees[name].body:
            if isinstance(node, ast.FunctionDef) and node.name in {"predict", "infer", "inference", "generate"}:
                yield f"{module}.{node.name}"


def _is_stored_result(name: str) -> bool:
    """Whether a file holds evaluation results of lm-evaluation-harness or Inspect."""
    path = PurePosixPath(name)
    return path.suffix == ".eval" or bool(re.fullmatch(r"samples_.*\.jsonl", path.name))


def _tests_folder(names: Iterable[str]) -> str:
    """The folder with the name of a test folder that contains the most Python files; empty if there is none."""
    folders = Counter(
        str(PurePosixPath(*path.parts[: path.parts.index(part) + 1]))
        for path in map(PurePosixPath, names)
        for part in path.parts[:-1]
        if part in {"tests", "test", "testing"} and path.suffix == ".py"
    )
    return folders.most_common(1)[0][0] if folders else ""
