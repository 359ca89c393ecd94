import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
import zipfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import uv
from filelock import FileLock

from mainstay.project.configuration import Configuration
from mainstay.records.errors import EnvironmentBuildError, HarnessError, Interrupted, OutageError, UsageError
from mainstay.records.trials import Side
from mainstay.revisions import environments
from mainstay.revisions.environments import (
    RefusedError,
    Resolution,
    UnreachableError,
    _failure,
    _own_package,
    build_subject,
    expand_group,
    import_roots,
    resolve,
    script_names,
    worker_variables,
)
from mainstay.revisions.layers import DEFAULT_LIMIT, Layer, cache_limit, describe_cache, evict, iter_layers
from mainstay.revisions.workspace import Seals, build_subjects, open_layers
from mainstay.store.integrity import take_manifest, write_manifest
from tests.index_server import PASSWORD, holds_password
from tests.repositories import git
from tests.slow_cases import some_always

BACKEND = '''
"""A build backend without dependencies: the wheel holds what lies in src."""

import pathlib
import tomllib
import zipfile


def build_wheel(folder, config_settings=None, metadata_directory=None):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    if project.get("description") == "broken":
        raise SystemExit("the compiler of this package is not installed")
    stem = f"{project['name']}-{project['version']}"
    listed = pathlib.Path("requirements.txt")
    requirements = listed.read_text().split() if listed.exists() else project.get("dependencies", [])
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requirements]
    with zipfile.ZipFile(pathlib.Path(folder, f"{stem}-py3-none-any.whl"), "w") as wheel:
        for path in sorted(pathlib.Path("src").rglob("*.py")):
            wheel.writestr(zipfile.ZipInfo(str(path.relative_to("src"))), path.read_bytes())
        tags = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any"
        for name, text in (("METADATA", "\\n".join(lines)), ("WHEEL", tags), ("RECORD", "")):
            wheel.writestr(zipfile.ZipInfo(f"{stem}.dist-info/{name}"), text)
    return f"{stem}-py3-none-any.whl"
'''

BUILD_SYSTEM = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def write(folder, **files):
    """Write files whose names stand for themselves."""
    for name, text in files.items():
        place = Path(folder, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(textwrap.dedent(text))


def publish(shelf, name, version, *requires, files=None):
    """Put a wheel into a package index that is a folder, and return its SHA-256."""
    page = shelf / name
    page.mkdir(parents=True, exist_ok=True)
    wheel = page / f"{name}-{version}-py3-none-any.whl"
    dist_info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {f"{name}.py": f"VERSION = {version!r}\n", **(files or {})}.items():
            archive.writestr(path, text)
        archive.writestr(f"{dist_info}/METADATA", "\n".join(metadata + [f"Requires-Dist: {each}" for each in requires]))
        archive.writestr(f"{dist_info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any")
        archive.writestr(f"{dist_info}/RECORD", "")
    links = (f'<a href="{found.name}">{found.name}</a>' for found in sorted(page.glob("*.whl")))
    (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{' '.join(links)}</body></html>")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of layers and resolutions of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(environments, "cache_folder", lambda: folder)
    return folder


@pytest.fixture(scope="session")
def asked(tmp_path_factory):
    """A cache of uv with nothing in it but what uv has asked this interpreter, as it would anew for every cache."""
    folder = tmp_path_factory.mktemp("asked")
    command = [uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder / "environment")]
    subprocess.run(command, check=True, env={**os.environ, "UV_CACHE_DIR": str(folder / "uv-cache")})
    return folder / "uv-cache"


@pytest.fixture
def shelf(tmp_path, monkeypatch, cache, asked):
    """A package index of the test's own, with all the packages there are."""
    folder = tmp_path / "shelf"
    publish(folder, "pluggy", "1.0")
    publish(folder, "pluggy", "2.0")
    publish(folder, "pytest", "8.0", "pluggy")
    publish(folder, "pytest", "9.0", "pluggy>=2")
    publish(folder, "tool", "1.0")
    publish(folder, "tool", "2.0")
    monkeypatch.setenv("UV_DEFAULT_INDEX", folder.as_uri())
    monkeypatch.setenv("UV_CACHE_DIR", str(shutil.copytree(asked, tmp_path / "uv-cache")))
    return folder


@pytest.fixture
def trees(tmp_path):
    """A worktree of each revision of one small package."""
    found = {side: tmp_path / f"{side:_<9}" / "tree" for side in Side}
    for tree in found.values():
        write(tree, **{"backend.py": BACKEND, "src/subject/__init__.py": "", "pyproject.toml": pyproject()})
    return found


def pyproject(*, dependencies=(), benchmarks=("pytest",), more=""):
    return (
        f'{BUILD_SYSTEM}\n[project]\nname = "subject"\nversion = "1.0"\n'
        f"dependencies = {list(dependencies)}\n{more}\n[dependency-groups]\nbenchmarks = {list(benchmarks)}\n"
    )


def resolved(trees, **configuration):
    """The pins of baseline and candidate."""
    both = resolve(trees, dict.fromkeys(Side, Configuration(**configuration)))
    return both[Side.BASELINE].pins, both[Side.CANDIDATE].pins


# --- resolution ----------------------------------------------------------------------------------------------------


def test_a_bumped_dependency_differs_between_the_revisions(shelf, trees):
    write(trees[Side.BASELINE], **{"pyproject.toml": pyproject(dependencies=["tool<2"])})
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["tool"])})

    assert resolved(trees) == (
        ("pluggy==2.0", "pytest==9.0", "tool==1.0"),
        ("pluggy==2.0", "pytest==9.0", "tool==2.0"),
    )


def test_both_revisions_are_resolved_at_one_time(shelf, trees):
    first = resolved(trees)

    publish(shelf, "pytest", "9.1", "pluggy")

    assert first == resolved(trees) == (("pluggy==2.0", "pytest==9.0"),) * 2


@pytest.mark.parametrize(
    ("of_baseline", "of_candidate", "expected"),
    [
        pytest.param("pytest==8.0\n", "pytest==9.0\n", "pytest==9.0", id="bumped"),
        pytest.param("pytest==9.0\n", "pytest==8.0\n", "pytest==8.0", id="lowered"),
        pytest.param("pytest==8.0\npluggy==1.0\n", "pytest==9.0\npluggy==2.0\n", "pytest==9.0", id="with-its-needs"),
    ],
)
def test_what_measures_comes_from_the_candidate(shelf, trees, of_baseline, of_candidate, expected):
    write(trees[Side.BASELINE], **{"constraints.txt": of_baseline})
    write(trees[Side.CANDIDATE], **{"constraints.txt": of_candidate})

    baseline, candidate = resolved(trees, constraints=("constraints.txt",))

    assert expected in candidate
    assert baseline == candidate


def test_what_the_baseline_runs_with_stays_its_own_though_measuring_needs_it_too(shelf, trees):
    publish(shelf, "gauge", "1.0", "tool")
    write(trees[Side.BASELINE], **{"pyproject.toml": pyproject(dependencies=["tool<2"])})
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["tool"], benchmarks=["gauge"])})

    baseline, candidate = resolved(trees)

    assert {"gauge==1.0", "tool==1.0"} < set(baseline)
    assert {"gauge==1.0", "tool==2.0"} < set(candidate)


@pytest.mark.parametrize(
    "wanted", [pytest.param("tool", id="by-name"), pytest.param("gauge", id="through-another-package")]
)
def test_a_bumped_dependency_differs_though_the_change_names_it_in_the_group_too(shelf, trees, wanted):
    publish(shelf, "gauge", "1.0", "tool")
    of_tree = {
        Side.BASELINE: ("tool==2.0\n", pyproject(dependencies=["tool"])),
        Side.CANDIDATE: ("tool==1.0\n", pyproject(dependencies=["tool"], benchmarks=["pytest", wanted])),
    }
    for side, (constraints, project) in of_tree.items():
        write(trees[side], **{"constraints.txt": constraints, "pyproject.toml": project})

    baseline, candidate = resolved(trees, constraints=("constraints.txt",))

    assert ("tool==2.0" in baseline, "tool==1.0" in candidate) == (True, True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((["tool"], ["pytest", "tool==1.0"]), (["tool"], ["pytest", "tool==2.0"]), id="a-pin-of-the-group"),
        pytest.param((["tool<2"], ["pytest", "tool"]), (["tool>=2"], ["pytest", "tool>=2"]), id="a-floor-of-both"),
        pytest.param((["tool"], ["pytest", "tool<2"]), (["tool"], ["pytest"]), id="released-by-the-group"),
        pytest.param((["tool<2"], ["pytest"]), (["tool"], ["pytest", "tool==2.0"]), id="first-named-in-the-group"),
    ],
)
def test_a_dependency_that_is_bumped_in_the_group_is_measured_as_it_was_and_as_it_is(shelf, trees, before, after):
    for side, (dependencies, group) in zip(Side, (before, after), strict=True):
        write(trees[side], **{"pyproject.toml": pyproject(dependencies=dependencies, benchmarks=group)})

    both = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert ("tool==1.0" in both[Side.BASELINE].pins, "tool==2.0" in both[Side.CANDIDATE].pins) == (True, True)
    assert (both[Side.BASELINE].altered, both[Side.BASELINE].contested) == ((), ())


def test_a_dependency_that_the_change_adds_is_not_given_to_the_baseline_because_the_group_names_it_too(shelf, trees):
    publish(shelf, "gauge", "1.0")
    project = pyproject(dependencies=["tool"], benchmarks=["pytest", "tool", "gauge"])
    write(trees[Side.CANDIDATE], **{"pyproject.toml": project})

    both = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert both[Side.BASELINE].pins == ("gauge==1.0", "pluggy==2.0", "pytest==9.0")
    assert both[Side.CANDIDATE].pins == (*both[Side.BASELINE].pins, "tool==2.0")
    assert (both[Side.BASELINE].altered, both[Side.BASELINE].contested) == (("gauge",), ())


@pytest.mark.parametrize("constraints", [pytest.param("", id="free"), pytest.param("tool==2.0\n", id="constrained")])
def test_a_measuring_package_moves_only_the_dependencies_that_it_does_not_allow(shelf, trees, constraints):
    publish(shelf, "gauge", "1.0", "tool<2", "scale")
    publish(shelf, "scale", "1.0")
    needed = ["tool", "scale==1.0"]
    write(trees[Side.BASELINE], **{"constraints.txt": constraints, "pyproject.toml": pyproject(dependencies=needed)})
    project = pyproject(dependencies=needed, benchmarks=["pytest", "gauge"])
    write(trees[Side.CANDIDATE], **{"constraints.txt": "", "pyproject.toml": project})
    publish(shelf, "scale", "2.0")

    both = resolve(trees, dict.fromkeys(Side, Configuration(constraints=("constraints.txt",))))

    assert {"gauge==1.0", "scale==1.0", "tool==1.0"} < {*both[Side.BASELINE].pins}
    assert both[Side.BASELINE].altered == ("gauge", "tool")
    assert both[Side.BASELINE].contested == ("tool",)


def test_a_measuring_package_that_the_baseline_cannot_have_names_what_it_requires(shelf, trees):
    publish(shelf, "gauge", "1.0", "tool<2")
    write(trees[Side.BASELINE], **{"pyproject.toml": pyproject(dependencies=["tool>=2"])})
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["tool"], benchmarks=["gauge"])})

    with pytest.raises(HarnessError, match="incompatible with the baseline") as caught:
        resolved(trees)

    assert (caught.value.side, caught.value.exit_status) == (Side.BASELINE, 4)
    assert "tool>=2" in caught.value.fact
    assert "tool==" not in caught.value.fact


def test_a_dependency_that_the_group_of_both_holds_back_is_held_back_in_both(shelf, trees):
    for side, text in ((Side.BASELINE, ""), (Side.CANDIDATE, 'description = "new"')):
        project = pyproject(dependencies=["tool"], benchmarks=["pytest", "tool<2"], more=text)
        write(trees[side], **{"pyproject.toml": project})

    baseline, candidate = resolved(trees)

    assert "tool==1.0" in baseline
    assert baseline == candidate


@pytest.mark.parametrize(
    ("before", "after", "constraints", "altered", "lacking"),
    [
        pytest.param(["pytest"], ["pytest"], ("", ""), (), (), id="nothing"),
        pytest.param(["pytest"], ["pytest"], ("pytest==8.0\n", "pytest==9.0\n"), (), (), id="a-bump-of-pytest"),
        pytest.param(["gauge"], ["gauge"], ("gauge==1.0\n", "gauge==2.0\n"), ("gauge",), (), id="another-version"),
        pytest.param(["gauge"], ["pytest"], ("", ""), ("gauge", "scale"), ("gauge", "scale"), id="taken-away"),
        pytest.param(["pytest"], ["pytest", "gauge"], ("", ""), ("gauge",), (), id="added"),
        pytest.param(["pytest"], ["pytest", "tool"], ("", ""), (), (), id="what-the-baseline-needs-itself"),
        pytest.param(["pytest"], ["pytest", "pluggy"], ("", ""), (), (), id="what-pytest-brings"),
        pytest.param(
            ["pytest"], ["pytest", "gauge; sys_platform == 'none'"], ("", ""), (), (), id="for-other-platforms"
        ),
        pytest.param(
            ["scale"], ["scale; sys_platform == 'none'"], ("", ""), ("scale",), ("scale",), id="taken-by-a-marker"
        ),
        pytest.param(["gauge[fine]"], ["gauge"], ("", ""), ("lens",), ("lens",), id="an-extra-taken-away"),
        pytest.param(
            ["gauge==2.0"], ["gauge==3.0"], ("", ""), ("gauge", "scale"), (), id="what-a-bump-no-longer-needs"
        ),
    ],
)
def test_what_the_group_furnishes_otherwise_is_known(shelf, trees, before, after, constraints, altered, lacking):
    for version in ("1.0", "2.0"):
        publish(shelf, "gauge", version, "scale", "lens; extra == 'fine'")
    if "gauge==3.0" in after:
        publish(shelf, "gauge", "3.0")
    publish(shelf, "scale", "1.0")
    publish(shelf, "lens", "1.0")
    for side, group, pins in zip(Side, (before, after), constraints, strict=True):
        project = pyproject(dependencies=["tool"], benchmarks=group, more=f'description = "{side}"')
        write(trees[side], **{"pyproject.toml": project, "constraints.txt": pins})

    both = resolve(trees, dict.fromkeys(Side, Configuration(constraints=("constraints.txt",))))

    assert both[Side.BASELINE].altered == altered
    assert both[Side.BASELINE].lacking == lacking
    assert both[Side.BASELINE].contested == ()
    assert [list(both[side].group) for side in Side] == [before, after]


@pytest.mark.parametrize(
    ("after", "lacking"),
    [
        pytest.param(["pytest", "helper", "bench==2.0"], (), id="no-longer-needed"),
        pytest.param(["pytest", "helper"], ("bench",), id="taken-away"),
        pytest.param(["pytest", "bench==2.0"], ("meter",), id="the-local-one-taken-away"),
    ],
)
@pytest.mark.parametrize("form", some_always(["source", "address"], {"source"}))
def test_what_the_group_takes_from_the_baseline_is_known_beside_a_package_of_the_tree(
    shelf, trees, form, after, lacking
):
    publish(shelf, "gauge", "1.0")
    publish(shelf, "meter", "1.0")
    publish(shelf, "bench", "1.0", "gauge")
    publish(shelf, "bench", "2.0")
    own = f'{BUILD_SYSTEM}\n[project]\nname = "helper"\nversion = "1.0"\ndependencies = ["meter"]\n'
    source = '[tool.uv.sources]\nhelper = { path = "helper" }\n' if form == "source" else ""
    address = {"helper": "helper @ file:///${PROJECT_ROOT}/helper"} if form == "address" else {}
    for tree, names in zip(trees.values(), (["pytest", "helper", "bench==1.0"], after), strict=True):
        group = [address.get(name, name) for name in names]
        write(tree, **{"pyproject.toml": pyproject(benchmarks=group, more=source)})
        write(tree / "helper", **{"backend.py": BACKEND, "src/helper.py": "", "pyproject.toml": own})

    assert resolve(trees, dict.fromkeys(Side, Configuration()))[Side.BASELINE].lacking == lacking


@pytest.mark.parametrize(
    ("before", "after", "contested"),
    [
        pytest.param((["tool"], ["pytest", "tool"]), (["tool"], ["pytest", "tool >= 1"]), (), id="written-otherwise"),
        pytest.param((["tool"], []), (["tool"], ["tool<2; sys_platform == 'none'"]), (), id="for-other-platforms"),
        pytest.param((["pytest>=8"], ["pytest>=8"]), (["pytest>=8"], ["pytest>=9"]), (), id="a-bump-of-pytest"),
        pytest.param(([], ["tool"]), (["tool"], ["tool"]), ("tool",), id="first-required-and-brought-before"),
        pytest.param(([], ["gauge"]), (["tool"], ["gauge"]), ("tool",), id="first-required-and-brought-indirectly"),
        pytest.param(
            ([], []), (["tool"], ["gauge"]), ("tool",), id="first-required-and-needed-by-a-new-measuring-package"
        ),
        pytest.param(([], []), (["tool"], ["tool"]), (), id="first-required-and-named-in-the-group"),
        pytest.param(([], []), (["tool"], ["tool<2"]), ("tool",), id="first-required-and-held-back"),
        pytest.param((["tool"], []), ([], ["tool"]), ("tool",), id="required-no-longer"),
        pytest.param((["tool"], ["tool"]), ([], ["tool"]), ("tool",), id="required-no-longer-and-still-in-the-group"),
        pytest.param((["tool<2"], []), (["tool"], ["tool<2"]), ("tool",), id="a-bump-that-the-group-holds-back"),
        pytest.param((["tool"], ["tool<2"]), (["tool<3"], ["tool<2"]), (), id="held-back-before-and-after"),
        pytest.param((["tool<1.5"], []), (["tool"], ["tool<2"]), ("tool",), id="a-bump-that-is-held-back-in-part"),
        pytest.param((["tool<2"], ["tool<1.5"]), (["tool"], ["tool<1.5"]), ("tool",), id="a-bump-held-back-as-before"),
        pytest.param((["tool"], []), ([], ["gauge"]), ("tool",), id="required-no-longer-and-brought-indirectly"),
        pytest.param((["tool"], ["gauge"]), ([], ["gauge"]), ("tool",), id="required-no-longer-and-brought-as-before"),
        pytest.param((["pluggy"], []), ([], ["pluggy"]), ("pluggy",), id="required-no-longer-and-needed-by-pytest-too"),
    ],
)
def test_a_dependency_is_contested_only_if_the_group_would_hide_its_change(shelf, trees, before, after, contested):
    publish(shelf, "tool", "1.5")
    publish(shelf, "gauge", "1.0", "tool")
    for side, (dependencies, group) in zip(Side, (before, after), strict=True):
        write(trees[side], **{"pyproject.toml": pyproject(dependencies=dependencies, benchmarks=group)})

    assert resolve(trees, dict.fromkeys(Side, Configuration()))[Side.BASELINE].contested == contested


@pytest.mark.parametrize(
    ("before", "after", "brought"),
    [
        pytest.param([], ["pluggy"], ("pluggy",), id="added"),
        pytest.param(["pytest"], [], ("pluggy", "pytest"), id="dropped"),
        pytest.param([], ["tool"], (), id="added-for-the-candidate-alone"),
        pytest.param(["tool"], [], (), id="dropped-so-that-the-candidate-lacks-it"),
    ],
)
def test_what_pytest_brings_though_the_change_adds_or_drops_it_is_known(shelf, trees, before, after, brought):
    for side, dependencies in zip(Side, (before, after), strict=True):
        write(trees[side], **{"pyproject.toml": pyproject(dependencies=dependencies)})

    baseline = resolve(trees, dict.fromkeys(Side, Configuration()))[Side.BASELINE]

    assert (baseline.contested, baseline.brought) == ((), brought)


def test_groups_are_known_by_any_spelling_of_their_names():
    groups = {"Benchmarks": ["pytest", {"include-group": "Bench_Deps"}], "bench-deps": ["tool"]}

    assert expand_group({"dependency-groups": groups}, "benchmarks") == ["pytest", "tool"]


def test_groups_that_uv_refuses_are_left_to_it():
    groups = {"benchmarks": [{"include-group": "benchmarks"}, {"include": "more"}, "tool"]}

    assert expand_group({"dependency-groups": groups}, "benchmarks") == ["tool"]


@pytest.mark.parametrize(
    ("named_by", "local"),
    [
        pytest.param([*Side], ("helper",), id="both"),
        pytest.param([Side.CANDIDATE], ("helper",), id="the-candidate"),
        pytest.param([Side.BASELINE], ("helper",), id="the-baseline"),
        pytest.param([], (), id="neither"),
    ],
)
def test_a_measuring_package_in_the_tree_is_given_to_the_baseline_from_its_own(shelf, trees, named_by, local):
    own = f'{BUILD_SYSTEM}\n[project]\nname = "helper"\nversion = "1.0"\ndependencies = []\n'
    for side, tree in trees.items():
        group = ["pytest", *(["helper"] if side in named_by else [])]
        source = f'description = "{side}"\n[tool.uv.sources]\nhelper = {{ path = "helper" }}\n'
        write(tree, **{"pyproject.toml": pyproject(benchmarks=group, more=source)})
        write(tree / "helper", **{"backend.py": BACKEND, "src/helper.py": "", "pyproject.toml": own})

    assert resolve(trees, dict.fromkeys(Side, Configuration()))[Side.BASELINE].local == local


@pytest.mark.parametrize("root", ["/${PROJECT_ROOT}", "${PROJECT_ROOT}"])
@pytest.mark.parametrize("place", some_always(["dependencies", "benchmarks", "runtime"], {"runtime"}))
def test_a_folder_of_the_tree_that_is_named_by_url_is_taken_from_each_revision(
    shelf, trees, tmp_path, monkeypatch, place, root
):
    monkeypatch.setenv("PROJECT_ROOT", str(tmp_path))  # uv would take it for the root of the project
    text = pyproject(**({} if place == "runtime" else {place: ["pytest", f"library @ file://{root}/libs/library"]}))
    text += f'runtime = ["library @ file://{root}/libs/library"]\n' if place == "runtime" else ""
    library = f'{BUILD_SYSTEM}\n[project]\nname = "library"\nversion = "1.0"\ndependencies = '
    for tree, wanted in zip(trees.values(), (["tool==1.0"], ["tool==2.0"]), strict=True):
        write(tree, **{"pyproject.toml": text})
        write(tree / "libs/library", **{"backend.py": BACKEND, "pyproject.toml": f"{library}{wanted}\n"})

    both = resolve(trees, dict.fromkeys(Side, Configuration(groups=("runtime",) if place == "runtime" else ())))

    assert {resolution.local for resolution in both.values()} == {("libs/library",)}
    assert "tool==2.0" in both[Side.CANDIDATE].pins
    assert ("tool==1.0" in both[Side.BASELINE].pins) == (place != "benchmarks")  # what measures is the candidate's
    assert not any("library" in pin for resolution in both.values() for pin in resolution.pins)


@pytest.mark.parametrize("address", ["file:///${FOLDER}/tool-1.0-py3-none-any.whl", "file://${FOLDER}"])
@pytest.mark.parametrize("requiring", [[Side.CANDIDATE], [*Side]], ids=["the-candidate", "both"])
def test_an_address_that_a_variable_leads_to_a_place_of_the_machine_is_refused(
    shelf, trees, monkeypatch, address, requiring
):
    monkeypatch.setenv("FOLDER", str(shelf / "tool"))
    write(shelf / "tool", **{"pyproject.toml": '[project]\nname = "tool"\nversion = "1.0"\n'})
    for side in requiring:
        write(trees[side], **{"pyproject.toml": pyproject(dependencies=[f"tool @ {address}"])})

    with pytest.raises(EnvironmentBuildError) as caught:
        resolved(trees)

    assert caught.value.side is (Side.CANDIDATE if len(requiring) == 1 else None)
    assert "${FOLDER}" in caught.value.fact
    assert "${PROJECT_ROOT}" in caught.value.next_step


def test_a_variable_may_hold_the_password_of_an_address(shelf, trees, serve, monkeypatch):
    monkeypatch.setenv("OURS", PASSWORD)
    address = "http://me:${OURS}@" + f"{serve(shelf).place}/tool/tool-1.0-py3-none-any.whl"
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=[f"tool @ {address}"])})

    _, candidate = resolved(trees)

    assert f"tool @ {address}" in candidate


@pytest.mark.parametrize("present", ["folder", "nothing"])
def test_a_folder_that_becomes_a_measuring_package_is_none_in_the_baseline(shelf, trees, present):
    own = f'{BUILD_SYSTEM}\n[project]\nname = "helper"\nversion = "1.0"\ndependencies = []\n'
    source = '[tool.uv.sources]\nhelper = { path = "helper" }\n'
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(benchmarks=["pytest", "helper"], more=source)})
    write(trees[Side.CANDIDATE] / "helper", **{"backend.py": BACKEND, "src/helper.py": "", "pyproject.toml": own})
    write(trees[Side.BASELINE], **({"helper/src/helper.py": ""} if present == "folder" else {}))

    both = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert both[Side.BASELINE].local == ()
    assert both[Side.CANDIDATE].local == ("helper",)


NAMED_WHEELS = {
    "source": ("library", '[tool.uv.sources]\nlibrary = { path = "w/library/library-1.0-py3-none-any.whl" }\n'),
    "address": ("library @ file:///${PROJECT_ROOT}/w/library/library-1.0-py3-none-any.whl", ""),
}
"""Ways to require a wheel that lies in the tree."""


@pytest.mark.parametrize("form", some_always(NAMED_WHEELS, {"address"}))
def test_a_wheel_of_the_tree_belongs_to_each_revision_as_it_lies_there(shelf, trees, form):
    requirement, source = NAMED_WHEELS[form]
    for side, tree in trees.items():
        write(tree, **{"pyproject.toml": pyproject(dependencies=[requirement]) + source})
        publish(tree / "w", "library", "1.0", "tool", files={"library.py": f"SIDE = '{side}'"})

    subjects = {side: built(trees, side) for side in Side}

    for side, subject in subjects.items():
        assert subject.roots == ("library", "subject")
        assert ask(subject, "import library, tool; print(library.SIDE)") == side
    assert subjects[Side.BASELINE].record.wheel_digest != subjects[Side.CANDIDATE].record.wheel_digest
    assert subjects[Side.BASELINE].record.packages_digest == subjects[Side.CANDIDATE].record.packages_digest


@pytest.mark.parametrize("side", Side)
def test_a_measuring_wheel_of_the_tree_is_given_to_the_baseline_from_its_own(shelf, trees, side):
    source = '[tool.uv.sources]\nlibrary = { path = "w/library/library-1.0-py3-none-any.whl" }\n'
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(benchmarks=["pytest", "library"], more=source)})
    for tree in {trees[Side.CANDIDATE], trees[side]}:
        publish(tree / "w", "library", "1.0")

    both = resolve(trees, dict.fromkeys(Side, Configuration()))

    wheel = "w/library/library-1.0-py3-none-any.whl"
    assert both[Side.BASELINE].local == ((wheel,) if side is Side.BASELINE else ())
    assert both[Side.CANDIDATE].local == (wheel,)


@pytest.mark.parametrize(
    ("before", "after", "contested"),
    [
        pytest.param(([], []), (["helper"], ["helper"]), ("helper",), id="first-required"),
        pytest.param((["helper"], []), ([], ["helper"]), ("helper",), id="required-no-longer"),
        pytest.param((["helper"], []), (["helper"], ["helper"]), (), id="required-before-and-after"),
        pytest.param(([], ["helper"]), (["helper"], []), ("helper",), id="moved-from-the-group"),
        pytest.param(([], []), (["helper"], []), (), id="first-required-and-not-in-the-group"),
    ],
)
def test_a_package_in_the_tree_is_contested_if_the_group_would_hide_that_it_is_added_or_dropped(
    shelf, trees, before, after, contested
):
    own = f'{BUILD_SYSTEM}\n[project]\nname = "helper"\nversion = "1.0"\ndependencies = []\n'
    source = '[tool.uv.sources]\nhelper = { path = "helper" }\n'
    for (side, tree), (dependencies, group) in zip(trees.items(), (before, after), strict=True):
        project = pyproject(dependencies=dependencies, benchmarks=group, more=f'description = "{side}"\n{source}')
        write(tree, **{"pyproject.toml": project})
        write(tree / "helper", **{"backend.py": BACKEND, "src/helper.py": "", "pyproject.toml": own})

    assert resolve(trees, dict.fromkeys(Side, Configuration()))[Side.BASELINE].contested == contested


def test_a_conflict_between_measuring_and_baseline_names_both_pins(shelf, trees):
    write(trees[Side.BASELINE], **{"pyproject.toml": pyproject(dependencies=["pytest<9"])})
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(benchmarks=["pytest>=9"])})

    with pytest.raises(HarnessError) as caught:
        resolved(trees)

    assert caught.value.side is Side.BASELINE
    assert "are incompatible with the baseline: pytest==9.0" in caught.value.fact
    assert "pytest<9" in caught.value.fact


PIP_SETTINGS = {
    "hashes": "generate-hashes = true",
    "universal": "universal = true",
    "output": 'output-file = "locked.txt"',
    "extras": "no-strip-extras = true",
    "markers": "no-strip-markers = true",
    "emitted": "emit-index-url = true\nemit-find-links = true\nemit-build-options = true\nemit-index-annotation = true",
    "annotated": 'no-annotate = false\nno-header = false\nannotation-style = "line"',
}
"""Settings of ``uv pip compile`` that change the form in which it writes what it resolved."""


@pytest.mark.parametrize("name", some_always(PIP_SETTINGS, {"hashes", "output"}))
def test_settings_of_a_lock_file_change_no_resolution(shelf, trees, name):
    publish(shelf, "gauge", "1.0", "meter; extra == 'full'")
    publish(shelf, "meter", "1.0")
    for tree, wanted in zip(trees.values(), ("tool==1.0", "tool==2.0"), strict=True):
        dependencies = [wanted, "gauge[full]", "meter; sys_platform == 'win32'"]
        text = pyproject(dependencies=dependencies, more=f"[tool.uv.pip]\n{PIP_SETTINGS[name]}\n")
        write(tree, **{"pyproject.toml": text})

    baseline, candidate = resolved(trees)

    assert baseline == ("gauge==1.0", "meter==1.0", "pluggy==2.0", "pytest==9.0", "tool==1.0")
    assert {*candidate} ^ {*baseline} == {"tool==1.0", "tool==2.0"}
    assert not any((tree / "locked.txt").exists() for tree in trees.values())


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.toml"])
def test_a_setting_that_leaves_packages_out_of_the_resolution_is_refused_by_its_name(shelf, trees, name):
    setting = f'[{"" if name == "uv.toml" else "tool.uv."}pip]\nno-emit-package = ["pytest"]\n'
    write_more(trees[Side.CANDIDATE], **{name: setting})

    with pytest.raises(EnvironmentBuildError) as caught:
        resolved(trees)

    assert caught.value.side is Side.CANDIDATE
    assert "no-emit-package" in caught.value.fact
    assert "no-emit-package" in caught.value.next_step


@pytest.mark.parametrize(
    ("output", "fact"),
    [
        pytest.param("tool==1.0 \\\n    --hash=sha256:00\npytest==9.0\n", "tool==1.0 \\", id="continued"),
        pytest.param("tool\npytest==9.0\n", "'tool'", id="without-version"),
        pytest.param("tool==1.0\n", "no pytest", id="without-pytest"),
        pytest.param("", "no pytest", id="nothing"),
    ],
)
def test_what_uv_writes_is_refused_unless_it_pins_each_package(shelf, trees, monkeypatch, output, fact):
    environments.interpreter_facts()  # asks uv once

    def run_uv(arguments, **_):
        Path(arguments[arguments.index("--output-file") + 1]).write_text(output)

    monkeypatch.setattr(environments, "run_uv", run_uv)

    with pytest.raises(EnvironmentBuildError) as caught:
        resolved(trees)

    assert fact in caught.value.fact


def test_hashed_constraints_hold(shelf, trees):
    digest = publish(shelf, "tool", "1.5")
    for tree in trees.values():
        write(tree, **{"locked.txt": f"tool==1.5 \\\n    --hash=sha256:{digest}\n"})
    for side, other in (("", Side.BASELINE), ('description = "changed"', Side.CANDIDATE)):
        write(trees[other], **{"pyproject.toml": pyproject(dependencies=["tool"], more=side)})

    baseline, candidate = resolved(trees, constraints=("locked.txt",))

    assert "tool==1.5" in baseline
    assert baseline == candidate


def test_extras_and_groups_are_part_of_what_a_revision_needs(shelf, trees):
    extra = '[project.optional-dependencies]\nfast = ["tool"]\n'
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(more=extra) + 'runtime = ["gauge"]\n'})
    publish(shelf, "gauge", "1.0")
    configurations = {
        Side.BASELINE: Configuration(),
        Side.CANDIDATE: Configuration(extras=("fast",), groups=("runtime",)),
    }

    both = resolve(trees, configurations)

    assert set(both[Side.CANDIDATE].pins) - set(both[Side.BASELINE].pins) == {"tool==2.0", "gauge==1.0"}


def test_dependencies_that_a_build_computes_are_seen_to_change(shelf, trees):
    text = pyproject().replace("dependencies = []", 'dynamic = ["dependencies"]')
    for tree, wanted in zip(trees.values(), ("tool==1.0", "tool==2.0"), strict=True):
        write(tree, **{"pyproject.toml": text, "requirements.txt": wanted})

    baseline, candidate = resolved(trees)

    assert "tool==1.0" in baseline
    assert "tool==2.0" in candidate


def test_a_constraints_file_that_the_baseline_lacks_constrains_nothing_there(shelf, trees):
    for tree in trees.values():
        write(tree, **{"pyproject.toml": pyproject(dependencies=["tool"])})
    write(trees[Side.CANDIDATE], **{"constraints.txt": "tool==1.0"})

    baseline, candidate = resolved(trees, constraints=("constraints.txt",))

    assert "tool==2.0" in baseline
    assert "tool==1.0" in candidate


def test_a_constraints_file_that_the_candidate_lacks_is_named(shelf, trees):
    with pytest.raises(EnvironmentBuildError, match=r"no constraints file 'constraints\.txt'"):
        resolved(trees, constraints=("constraints.txt",))


@pytest.mark.parametrize("side", Side)
def test_a_revision_that_does_not_resolve_is_named(shelf, trees, side):
    write(trees[side], **{"pyproject.toml": pyproject(dependencies=["absent-package"])})

    with pytest.raises(EnvironmentBuildError) as caught:
        resolved(trees)

    assert caught.value.side is side
    assert f"resolving the dependencies failed for the {side}" in caught.value.fact
    assert "absent-package" in caught.value.fact
    assert caught.value.exit_status == (4 if side is Side.BASELINE else 1)


def test_a_revision_that_is_no_package_is_named(shelf, trees):
    for name in ("pyproject.toml", "backend.py", "src/subject/__init__.py"):
        (trees[Side.BASELINE] / name).unlink()

    with pytest.raises(
        EnvironmentBuildError, match=r"neither a \[project\] in pyproject\.toml nor a setup\.py"
    ) as caught:
        resolved(trees)

    assert caught.value.side is Side.BASELINE


def test_without_network_and_cache_the_message_says_so(shelf, trees, monkeypatch):
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["absent-package"])})
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(UnreachableError) as caught:
        resolved(trees)

    assert caught.value.looked_in == "the package index and the cache of uv"
    assert caught.value.next_step == "connect to the network once; everything needed is then cached"
    assert (caught.value.side, caught.value.exit_status) == (None, 4)


# --- whom a failure is blamed on -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        pytest.param(401, RefusedError, id="refuses"),
        pytest.param(503, UnreachableError, id="is-overloaded"),
    ],
)
def test_an_index_that_does_not_serve_what_the_candidate_needs_is_blamed_on_no_revision(
    shelf, trees, serve, monkeypatch, refusal, kind
):
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["tool"])})
    address = f"http://me:{PASSWORD}x@{serve(shelf, refusal=refusal).place}/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", address)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(EnvironmentBuildError) as caught:
        resolved(trees)

    assert (type(caught.value), caught.value.side, caught.value.exit_status) == (kind, None, 4)


def test_a_download_that_breaks_off_is_blamed_on_no_revision(shelf, trees, serve, monkeypatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:{PASSWORD}@{serve(shelf, cuts_off=True).place}/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(UnreachableError, match="installing the dependencies failed for the candidate") as caught:
        ensure_dependencies(tool(side=Side.CANDIDATE), trees[Side.CANDIDATE])

    assert (caught.value.side, caught.value.exit_status) == (None, 4)


def test_an_address_at_which_a_server_has_no_file_is_blamed_on_the_revision_that_requires_it(
    shelf, trees, serve, monkeypatch
):
    address = f"http://me:{PASSWORD}@{serve(shelf).place}/tool-9.0-py3-none-any.whl"
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=[f"tool @ {address}"])})
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(EnvironmentBuildError, match=r"\(404 ") as caught:
        resolved(trees)

    assert (caught.value.side, caught.value.exit_status) == (Side.CANDIDATE, 1)


@pytest.mark.parametrize("absent", ["@typo", f"@{'1' * 40}", "-elsewhere"], ids=["branch", "commit", "repository"])
@pytest.mark.usefixtures("own_git_settings")
def test_what_a_git_repository_lacks_is_blamed_on_the_revision_that_requires_it(shelf, trees, tmp_path, absent):
    write(tmp_path / "own", **{"pyproject.toml": pyproject(), "backend.py": BACKEND, "src/own/__init__.py": ""})
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=first"]):
        git(tmp_path / "own", *arguments)
    address = f"subject @ git+{(tmp_path / 'own').as_uri()}{absent}"
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(benchmarks=["pytest", address])})

    with pytest.raises(EnvironmentBuildError, match="resolving the dependencies failed for the candidate") as caught:
        resolved(trees)

    assert not isinstance(caught.value, OutageError)
    assert (caught.value.side, caught.value.exit_status) == (Side.CANDIDATE, 1)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        pytest.param(None, UnreachableError, id="dead"),
        pytest.param(403, RefusedError, id="refuses"),
        pytest.param(503, UnreachableError, id="is-overloaded"),
    ],
)
def test_a_server_that_only_the_candidate_needs_is_blamed_on_it(shelf, trees, serve, monkeypatch, refusal, kind):
    place = serve(shelf, refusal=refusal).place if refusal else "127.0.0.1:9"
    address = f"tool @ http://{place}/tool/tool-1.0-py3-none-any.whl"
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=[address])})
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(kind, match="the candidate alone needs it") as caught:
        resolved(trees)

    assert (caught.value.side, caught.value.exit_status) == (Side.CANDIDATE, 1)
    assert caught.value.next_step.startswith("correct what the candidate requires, or ")


def test_a_server_that_is_not_asked_because_uv_was_told_to_stay_offline_is_blamed_on_no_revision(
    shelf, trees, monkeypatch
):
    address = "tool @ http://127.0.0.1:9/tool/tool-1.0-py3-none-any.whl"
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=[address])})
    monkeypatch.setenv("UV_OFFLINE", "1")

    with pytest.raises(UnreachableError) as caught:
        resolved(trees)

    assert (caught.value.side, caught.value.exit_status) == (None, 4)


def test_a_dead_server_that_both_revisions_need_is_blamed_on_neither(shelf, trees, monkeypatch):
    address = "tool @ http://127.0.0.1:9/tool/tool-1.0-py3-none-any.whl"
    for side, more in ((Side.BASELINE, ""), (Side.CANDIDATE, 'description = "new"')):
        write(trees[side], **{"pyproject.toml": pyproject(dependencies=[address], more=more)})
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(UnreachableError) as caught:
        resolved(trees)

    assert (caught.value.side, caught.value.exit_status) == (None, 4)


def test_an_outage_is_not_blamed_on_the_candidate_because_the_baseline_is_in_the_cache(
    shelf, trees, serve, monkeypatch
):
    index = serve(shelf)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:{PASSWORD}@{index.place}/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    resolved(trees)
    index.server.shutdown()
    index.server.server_close()
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["tool"])})

    with pytest.raises(UnreachableError) as caught:
        resolved(trees)

    assert (caught.value.side, caught.value.exit_status) == (None, 4)


def test_a_package_that_a_machine_without_network_lacks_is_blamed_on_no_revision(shelf, trees, monkeypatch):
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["tool"])})
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_OFFLINE", "1")

    with pytest.raises(UnreachableError) as caught:
        resolved(trees)

    assert (caught.value.side, caught.value.exit_status) == (None, 4)


@pytest.mark.parametrize(
    ("wanted", "of_candidate", "why"),
    [
        pytest.param({"dependencies": ["tool"]}, "", "the baseline requires the same", id="same-requirements"),
        pytest.param(
            {"dependencies": ["tool"]}, 'description = "new"', "the baseline cannot be resolved either", id="new-text"
        ),
        pytest.param(
            {"benchmarks": ["tool"]}, 'description = "new"', "the baseline cannot be resolved either", id="measuring"
        ),
    ],
)
def test_a_requirement_of_both_revisions_that_the_index_withdrew_is_blamed_on_neither(
    shelf, trees, wanted, of_candidate, why
):
    write(trees[Side.BASELINE], **{"pyproject.toml": pyproject(**wanted)})
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(**wanted, more=of_candidate)})
    shutil.rmtree(shelf / "tool")

    with pytest.raises(EnvironmentBuildError, match=f"the change is not to blame: {why}") as caught:
        resolved(trees)

    assert (caught.value.side, caught.value.exit_status) == (None, 4)
    assert "tool" in caught.value.fact


@pytest.mark.parametrize(
    ("of_candidate", "spoilt", "side"),
    [
        pytest.param(("tool==1.0",), "tool", None, id="a-layer-of-both"),
        pytest.param(("gauge==1.0", "tool==1.0"), "tool", None, id="a-package-of-both"),
        pytest.param(("gauge==1.0", "tool==1.0"), "gauge", Side.CANDIDATE, id="a-package-of-the-candidate"),
    ],
)
def test_only_a_package_that_the_candidate_alone_has_is_blamed_on_it(shelf, trees, of_candidate, spoilt, side):
    publish(shelf, "gauge", "1.0")
    for wheel in (shelf / spoilt).glob("*.whl"):
        wheel.write_bytes(b"no archive")
    resolutions = [tool(), Resolution(side=Side.CANDIDATE, pins=of_candidate)]

    with open_layers(resolutions) as layers, pytest.raises(EnvironmentBuildError) as caught:
        layers[resolutions[1].digest].ensure(trees[Side.CANDIDATE])

    assert "installing the dependencies failed" in caught.value.fact
    assert (caught.value.side, caught.value.exit_status) == (side, 1 if side else 4)


def test_a_full_disk_is_blamed_on_no_revision(shelf, trees):
    full = "def build_wheel(*_):\n    raise OSError(28, 'No space left on device')\n"
    write(trees[Side.CANDIDATE], **{"backend.py": f"{BACKEND}\n\n{full}"})

    with pytest.raises(OutageError, match="building the wheel failed for the candidate") as caught:
        built(trees)

    assert (caught.value.side, caught.value.exit_status) == (None, 4)
    assert caught.value.next_step == "free some disk space, then run it again"


@pytest.mark.parametrize(
    "said",
    [
        "error: Failed to fetch: `https://index/simple/tool/`\n  Caused by: error reading a body from connection",
        "  × Failed to download `tool==1.0`\n  ├─▶ Failed to write to the distribution cache\n  ╰─▶ error decoding response\n      body",
        "error: Request failed after 3 retries\n  Caused by: HTTP status server error (502 Bad Gateway) for url",
        "  ╰─▶ Because tool was not found in the cache and subject depends on tool, your requirements are unsatisfiable.",
    ],
)  # fmt: skip
def test_what_uv_says_of_the_network_is_understood_in_each_of_its_forms(said):
    assert isinstance(_failure("it failed", said, Side.CANDIDATE), UnreachableError)


# --- layers --------------------------------------------------------------------------------------------------------


def ensure_dependencies(resolution, tree, **options):
    """Use a layer as a gate does, and leave it."""
    with Layer(resolution) as layer:
        return layer.ensure(tree, **options)


def tool(version="1.0", side=Side.BASELINE):
    """A resolution of one small package."""
    return Resolution(side=side, pins=(f"tool=={version}",))


def test_a_layer_is_built_once(shelf, trees):
    first = ensure_dependencies(tool(), trees[Side.BASELINE])
    inode = (first / "tool.py").stat().st_ino

    assert ensure_dependencies(tool(), trees[Side.CANDIDATE]) == first
    assert (first / "tool.py").read_text() == "VERSION = '1.0'\n"
    assert list(first.glob("__pycache__/tool.*.pyc"))
    assert (first / "tool.py").stat().st_ino == inode


def test_no_file_of_a_layer_is_shared_with_the_cache_of_uv_or_another_environment(shelf, trees):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])

    installed = [path for path in layer.rglob("*") if path.is_file()]
    assert installed
    assert {path.stat().st_nlink for path in installed} == {1}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda layer: (layer / "evil.pth").write_text("import evil"), id="a-pth-file-more"),
        pytest.param(lambda layer: (layer / "tool.py").write_text("VERSION = '1.1'\n"), id="a-module-of-equal-length"),
        pytest.param(lambda layer: (layer / "tool.py").unlink(), id="a-module-less"),
        pytest.param(lambda layer: next(layer.glob("__pycache__/tool.*")).write_bytes(b""), id="bytecode"),
        pytest.param(lambda layer: (layer / "tool.py").chmod(0o600), id="a-mode"),
        pytest.param(lambda layer: os.utime(layer / "tool.py", (0, 0)), id="a-time-that-outdates-bytecode"),
        pytest.param(lambda layer: (layer.parents[2] / "pyvenv.cfg").write_text("home = /"), id="the-environment"),
        pytest.param(shutil.rmtree, id="everything"),
    ],
)
def test_a_changed_layer_is_thrown_away_and_built_again_and_the_reader_is_told(shelf, trees, change):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])
    before = {path.name for path in layer.iterdir()}

    change(layer)
    with Layer(tool()) as again:
        again.ensure(trees[Side.BASELINE])

    assert {path.name for path in layer.iterdir()} == before
    assert (layer / "tool.py").read_text() == "VERSION = '1.0'\n"
    (note,) = again.notes
    assert f"the cached dependencies {tool().digest[:8]} were thrown away: it had been changed" in note
    with Layer(tool()) as third:
        third.ensure(trees[Side.BASELINE])
    assert not third.notes


@pytest.mark.parametrize(
    ("built_before", "change", "path"),
    [
        pytest.param((), lambda layer: (layer / "evil.pth").write_text("import evil"), "evil.pth", id="built-here"),
        pytest.param((tool(),), lambda layer: (layer / "tool.py").unlink(), "tool.py", id="built-by-another-gate"),
    ],
)
def test_a_layer_that_is_changed_with_its_manifest_while_a_gate_uses_it_is_thrown_away(
    shelf, trees, built_before, change, path
):
    for resolution in built_before:
        ensure_dependencies(resolution, trees[Side.BASELINE])
    with Layer(tool()) as layer:
        change(layer.ensure(trees[Side.BASELINE]))
        write_manifest(Path(f"{layer.place}.json"), take_manifest(layer.place))

        (changed,) = Seals([layer]).find_changes()

    assert changed.startswith("the cached dependencies (")
    assert changed.endswith(f"/{path})")
    assert not layer.place.exists()


def test_a_layer_whose_manifest_does_not_read_is_built_again(shelf, trees):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])
    (layer / "evil.pth").touch()
    Path(f"{layer.parents[2]}.json").write_text("{}")

    ensure_dependencies(tool(), trees[Side.BASELINE])

    assert not (layer / "evil.pth").exists()


def test_a_copy_of_a_layer_that_was_restored_is_as_good_as_the_layer(shelf, trees, cache):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])
    shutil.copytree(cache, cache.with_name("saved"), symlinks=True)
    shutil.rmtree(cache)
    cache.with_name("saved").rename(cache)
    inode = (layer / "tool.py").stat().st_ino

    with Layer(tool()) as restored:
        restored.ensure(trees[Side.BASELINE])

    assert not restored.notes
    assert (layer / "tool.py").stat().st_ino == inode


def test_a_layer_that_another_gate_uses_is_built_again_once_that_has_ended(shelf, trees):
    with Layer(tool()) as other:
        layer = other.ensure(trees[Side.BASELINE])
        (layer / "evil.pth").touch()
        answers = iter([False, False, True])
        with pytest.raises(Interrupted):
            ensure_dependencies(tool(), trees[Side.BASELINE], is_interrupted=lambda: next(answers))
        assert (layer / "evil.pth").exists()

    ensure_dependencies(tool(), trees[Side.BASELINE])

    assert not (layer / "evil.pth").exists()


# --- the size of the cache -----------------------------------------------------------------------------------------


def used(layer, seconds):
    """Say when a layer was used last."""
    os.utime(f"{layer.parents[2]}.lock", (seconds, seconds))


def versions_kept():
    """The versions of the package whose layers are in the cache."""
    return sorted(path.read_text().split("'")[1] for cached in iter_layers() for path in cached.place.rglob("tool.py"))


def test_layers_that_were_not_used_for_longest_are_removed_first(shelf, trees):
    for version, seconds in (("1.0", 2_000), ("2.0", 1_000)):
        used(ensure_dependencies(tool(version), trees[Side.BASELINE]), seconds)
    sizes = [cached.num_bytes for cached in iter_layers()]

    evict(sum(sizes))
    assert versions_kept() == ["1.0", "2.0"]
    evict(sum(sizes) - 1)
    assert versions_kept() == ["1.0"]
    evict(0)
    assert versions_kept() == []


def test_a_layer_is_used_anew_by_each_gate(shelf, trees):
    for version, seconds in (("1.0", 1_000), ("2.0", 2_000)):
        used(ensure_dependencies(tool(version), trees[Side.BASELINE]), seconds)

    ensure_dependencies(tool("1.0"), trees[Side.BASELINE])
    evict(max(cached.num_bytes for cached in iter_layers()))

    assert versions_kept() == ["1.0"]


def test_no_layer_is_removed_while_a_gate_uses_it(shelf, trees):
    with Layer(tool("1.0")) as layer:
        used(layer.ensure(trees[Side.BASELINE]), 0)
        ensure_dependencies(tool("2.0"), trees[Side.BASELINE])

        evict(0)

        assert versions_kept() == ["1.0"]
        assert not layer.find_changes()


def test_a_build_makes_room_and_keeps_what_it_made(shelf, trees, monkeypatch):
    monkeypatch.setenv("MAINSTAY_CACHE_LIMIT", "1 kB")
    ensure_dependencies(tool("1.0"), trees[Side.BASELINE])
    ensure_dependencies(tool("2.0"), trees[Side.BASELINE])

    assert versions_kept() == ["2.0"]
    assert describe_cache(1_000).startswith("sets of dependencies: 1, 0.0 GB; above 0.0 GB (MAINSTAY_CACHE_LIMIT)")


def test_what_was_killed_halfway_and_resolutions_of_other_days_are_removed(shelf, trees, cache):
    layer = ensure_dependencies(tool(), trees[Side.BASELINE])
    Path(f"{layer.parents[2]}.json").unlink()
    kept, old = (cache / "resolutions" / name for name in ("kept.json", "old.json"))
    kept.parent.mkdir()
    for file in (kept, old):
        file.touch()
    os.utime(old, (0, 0))

    evict(DEFAULT_LIMIT)

    assert not layer.exists()
    assert [file.exists() for file in (kept, old)] == [True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", DEFAULT_LIMIT), ("0", 0), ("1000", 1000), ("2kb", 2000), ("1.5 GB", 1_500_000_000), ("30G", 30_000_000_000)],
)
def test_the_limit_of_the_cache_is_read_with_its_unit(text, expected):
    assert cache_limit({"MAINSTAY_CACHE_LIMIT": text}) == expected


@pytest.mark.parametrize("text", ["much", "-1", "30 GiB", "1e9"])
def test_a_limit_that_is_no_size_is_refused_by_its_variable(text):
    with pytest.raises(UsageError, match=f"MAINSTAY_CACHE_LIMIT is '{text}'"):
        cache_limit({"MAINSTAY_CACHE_LIMIT": text})


# --- layers that gates share ---------------------------------------------------------------------------------------


def test_a_layer_whose_build_was_killed_is_built_again(shelf, trees):
    resolution = Resolution(side=Side.BASELINE, pins=("tool==1.0",))
    layer = ensure_dependencies(resolution, trees[Side.BASELINE])
    (layer / "tool.py").unlink()
    Path(f"{layer.parents[2]}.json").unlink()

    ensure_dependencies(resolution, trees[Side.BASELINE])

    assert (layer / "tool.py").read_text() == "VERSION = '1.0'\n"


def test_gates_at_the_same_time_share_a_layer(shelf, trees):
    resolution = Resolution(side=Side.BASELINE, pins=("pytest==9.0", "tool==1.0"))
    found = []

    def build():
        found.append(ensure_dependencies(resolution, trees[Side.BASELINE]))

    gates = [threading.Thread(target=build) for _ in range(3)]
    for gate in gates:
        gate.start()
    for gate in gates:
        gate.join()

    assert len(found) == 3
    assert len(set(found)) == 1


@pytest.fixture
def of_another_gate(cache):
    """A resolution whose layer another gate is building, and the lock that it holds."""
    resolution = Resolution(side=Side.BASELINE, pins=("tool==1.0",))
    place = cache / "environments" / f"{resolution.digest[:32]}.lock"
    place.parent.mkdir(parents=True)
    with FileLock(place) as lock:
        yield resolution, lock


def test_an_interrupted_gate_does_not_wait_for_a_layer_that_another_builds(trees, of_another_gate):
    resolution, _ = of_another_gate
    answers = iter([False, True])

    with pytest.raises(Interrupted):
        ensure_dependencies(resolution, trees[Side.BASELINE], is_interrupted=lambda: next(answers))


def test_a_layer_that_another_gate_gives_up_is_built(shelf, trees, of_another_gate):
    resolution, lock = of_another_gate

    layer = ensure_dependencies(resolution, trees[Side.BASELINE], is_interrupted=lambda: bool(lock.release()))

    assert (layer / "tool.py").exists()


@pytest.mark.parametrize("form", ["simple", "flat"])
def test_a_package_of_an_index_that_the_project_names_is_installed(shelf, trees, tmp_path, form):
    private = tmp_path / "private" / ("ours" if form == "flat" else "")
    publish(tmp_path / "private", "ours", "1.0")
    settings = f'[[tool.uv.index]]\nname = "private"\nurl = "{private.as_uri()}"\nexplicit = true\nformat = "{form}"\n'
    source = '[tool.uv.sources]\nours = { index = "private" }\n'
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["ours"]) + settings + source})

    found = resolve(trees, dict.fromkeys(Side, Configuration()))[Side.CANDIDATE]

    assert "ours==1.0" in found.pins
    assert found.indexes == (private.as_uri(), f"UV_DEFAULT_INDEX={shelf.as_uri()}")
    assert (ensure_dependencies(found, trees[Side.CANDIDATE]) / "ours.py").exists()


@pytest.mark.parametrize("form", some_always(["simple", "flat"], {"simple"}))
@pytest.mark.parametrize("measuring", [[Side.CANDIDATE], [*Side]], ids=["the-candidate", "both"])
def test_a_measuring_package_of_an_explicit_index_measures_the_baseline_too(shelf, trees, tmp_path, form, measuring):
    publish(tmp_path / "private", "gauge", "1.0")
    publish(tmp_path / "private", "tool", "3.0")
    place = tmp_path / "private" / ("gauge" if form == "flat" else "")
    index = f'[[tool.uv.index]]\nname = "ours"\nurl = "{place.as_uri()}"\nformat = "{form}"\nexplicit = true\n'
    for side, wanted in zip(Side, ("tool==1.0", "tool"), strict=True):
        group = ["pytest", *(["gauge"] if side in measuring else [])]
        more = index + ('[tool.uv.sources]\ngauge = { index = "ours" }\n' if side in measuring else "")
        write(trees[side], **{"pyproject.toml": pyproject(dependencies=[wanted], benchmarks=group, more=more)})

    both = resolve(trees, dict.fromkeys(Side, Configuration()))
    dependencies = ensure_dependencies(both[Side.BASELINE], trees[Side.BASELINE])

    assert {*both[Side.BASELINE].pins} ^ {*both[Side.CANDIDATE].pins} == {"tool==1.0", "tool==2.0"}
    assert (dependencies / "gauge.py").exists()


@pytest.mark.parametrize("form", some_always(["simple", "flat"], {"flat"}))
def test_what_the_environment_serves_is_found_beside_an_index_of_the_project(shelf, trees, tmp_path, monkeypatch, form):
    publish(tmp_path / "project", "gauge", "1.0")
    publish(tmp_path / "environment", "meter", "1.0")
    place, other = (tmp_path / name for name in ("project", "environment"))
    if form == "flat":
        place, other = place / "gauge", other / "meter"
    monkeypatch.setenv("UV_FIND_LINKS" if form == "flat" else "UV_INDEX", other.as_uri())
    more = (
        f'[[tool.uv.index]]\nname = "ours"\nurl = "{place.as_uri()}"\nformat = "{form}"\nexplicit = true\n'
        '[tool.uv.sources]\ngauge = { index = "ours" }\n'
    )
    for tree, wanted in zip(trees.values(), ("tool==1.0", "tool==2.0"), strict=True):
        text = pyproject(dependencies=[wanted, "meter"], benchmarks=["pytest", "gauge"], more=more)
        write(tree, **{"pyproject.toml": text})

    found = resolve(trees, dict.fromkeys(Side, Configuration()))[Side.BASELINE]
    dependencies = ensure_dependencies(found, trees[Side.BASELINE])

    assert (dependencies / "gauge.py").exists()
    assert (dependencies / "meter.py").exists()


def test_another_index_is_another_layer():
    pins = ("torch==2.8.0",)
    one = Resolution(side=Side.BASELINE, pins=pins, indexes=("https://one.example/simple",))

    assert one.digest != Resolution(side=Side.BASELINE, pins=pins).digest


def write_more(folder, **more):
    """Write files of a revision; what is meant for its pyproject.toml is added there."""
    write(folder, **{name: text for name, text in more.items() if name != "pyproject.toml"})
    write(folder, **{"pyproject.toml": pyproject(dependencies=["tool"]) + more.get("pyproject.toml", "")})


def digests(trees):
    """The digests of the dependencies of baseline and candidate, whose pins are equal."""
    found = resolve(trees, dict.fromkeys(Side, Configuration()))
    assert found[Side.BASELINE].pins == found[Side.CANDIDATE].pins
    return [found[side].digest for side in Side]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("pyproject.toml", '[tool.uv.pip]\nno-binary = ["pandas"]\n', id="build-from-source"),
        pytest.param("pyproject.toml", '[tool.uv]\nconfig-settings = { fast = "yes" }\n', id="build-otherwise"),
        pytest.param("uv.toml", '[pip]\nno-build-isolation-package = ["tool"]\n', id="in-a-file-of-its-own"),
        pytest.param("../uv.toml", 'config-settings = { fast = "yes" }\n', id="above-the-project"),
    ],
)
def test_other_settings_of_an_installation_are_other_dependencies(shelf, trees, name, text):
    for tree in trees.values():
        write_more(tree)
    before, equal = digests(trees)
    write_more(trees[Side.CANDIDATE], **{name: text})
    baseline, candidate = digests(trees)

    assert before == equal == baseline
    assert candidate != baseline


@pytest.mark.parametrize("place", some_always(["find-links", "index", "flat-index", "environment"], {"index"}))
def test_a_package_that_the_tree_serves_counts_by_its_content(shelf, trees, monkeypatch, place):
    settings = {
        "find-links": '[tool.uv]\nfind-links = ["vendor/vendored"]\n',
        "index": '[[tool.uv.index]]\nname = "own"\nurl = "./vendor"\n',
        "flat-index": '[[tool.uv.index]]\nname = "own"\nurl = "./vendor/vendored"\nformat = "flat"\nexplicit = true\n'
        '[tool.uv.sources]\nvendored = { index = "own" }\n',
        "environment": "",
    }
    if place == "environment":
        monkeypatch.setenv("UV_FIND_LINKS", "vendor/vendored")
    for side, tree in trees.items():
        write(tree, **{"pyproject.toml": pyproject(dependencies=["vendored"]) + settings[place]})
        write(tree, **{"vendor/notes.txt": str(side)})
        publish(tree / "vendor", "vendored", "3.0", files={"vendored.py": "A = 1\n"})
    baseline, equal = digests(trees)
    publish(trees[Side.CANDIDATE] / "vendor", "vendored", "3.0", files={"vendored.py": "A = 2\n"})

    found = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert baseline == equal == found[Side.BASELINE].digest
    texts = [(ensure_dependencies(found[side], trees[side]) / "vendored.py").read_text() for side in Side]
    assert texts == ["A = 1\n", "A = 2\n"]


@pytest.mark.parametrize("form", ["simple", "flat"])
def test_settings_of_the_project_and_passwords_are_no_settings_of_an_installation(shelf, trees, form):
    index = f'[[tool.uv.index]]\nname = "own"\nexplicit = true\nformat = "{form}"\n'
    index += 'url = "https://me:{}@example.invalid/simple"\n'
    for tree, password, more in zip(
        trees.values(), ("one", "two"), ("", '[tool.uv]\ndev-dependencies = ["ruff"]\n'), strict=True
    ):
        write_more(tree, **{"pyproject.toml": more + index.format(password)})

    baseline, candidate = digests(trees)

    assert baseline == candidate


def test_a_revision_is_blamed_for_its_own_settings_of_an_installation(shelf, trees):
    for tree in trees.values():
        write_more(tree)
    write_more(trees[Side.CANDIDATE], **{"pyproject.toml": '[tool.uv.pip]\nonly-binary = ["pytest"]\n'})
    found = resolve(trees, dict.fromkeys(Side, Configuration()))
    write_more(trees[Side.CANDIDATE], **{"pyproject.toml": '[tool.uv.pip]\nno-binary = ["tool"]\n'})

    with open_layers(found.values()) as layers:
        layers[found[Side.BASELINE].digest].ensure(trees[Side.BASELINE])
        with pytest.raises(EnvironmentBuildError) as caught:
            layers[found[Side.CANDIDATE].digest].ensure(trees[Side.CANDIDATE])

    assert caught.value.side is Side.CANDIDATE


# --- networks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "given"),
    [
        pytest.param("simple", "variables", id="variables"),
        pytest.param("flat", "pyproject", id="flat-pyproject"),
        *(
            pytest.param("simple", given, id=given, marks=pytest.mark.slow)
            for given in ("address", "netrc", "pyproject")
        ),
        *(
            pytest.param("flat", given, id=f"flat-{given}", marks=pytest.mark.slow)
            for given in ("address", "variables", "netrc")
        ),
    ],
)
def test_the_password_of_a_private_index_is_used_and_written_nowhere(
    shelf, trees, cache, serve, tmp_path, monkeypatch, form, given
):
    private = tmp_path / "private"
    publish(private, "ours", "1.0")
    index = serve(private)
    place = f"{index.place}/simple{'/ours/' if form == 'flat' else ''}"
    address = f"http://{f'me:{PASSWORD}@' if given == 'pyproject' else ''}{place}"
    settings = f'[[tool.uv.index]]\nname = "ours"\nurl = "{address}"\nformat = "{form}"\n'
    if given == "address":
        settings = ""
        monkeypatch.setenv("UV_FIND_LINKS" if form == "flat" else "UV_INDEX", f"http://me:{PASSWORD}@{place}")
    elif given == "variables":
        monkeypatch.setenv("UV_INDEX_OURS_USERNAME", "me")
        monkeypatch.setenv("UV_INDEX_OURS_PASSWORD", PASSWORD)
    elif given == "netrc":
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {PASSWORD}\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for tree in trees.values():
        write(tree, **{"pyproject.toml": pyproject(dependencies=["ours"]) + settings})

    found = resolve(trees, dict.fromkeys(Side, Configuration()))[Side.CANDIDATE]
    dependencies = ensure_dependencies(found, trees[Side.CANDIDATE])

    assert (dependencies / "ours.py").exists()
    assert found.packages["ours"] == "1.0"
    assert PASSWORD not in str(found)
    assert holds_password(cache) == []


def test_a_new_password_makes_no_new_layer(monkeypatch, tmp_path):
    def digest(password):
        pins = (f"ours @ http://me:{password}@host/ours-1.0-py3-none-any.whl",)
        return Resolution(side=Side.BASELINE, pins=pins).digest

    assert digest("one") == digest("two")


@pytest.mark.parametrize("told", ["uv", "build"])
def test_no_message_tells_a_password(shelf, trees, serve, monkeypatch, told):
    monkeypatch.setenv("UV_INDEX_OURS_PASSWORD", PASSWORD)
    if told == "uv":
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:{PASSWORD}x@{serve(shelf).place}/simple")
        with pytest.raises(EnvironmentBuildError, match="401 Unauthorized") as caught:
            resolved(trees)
        assert caught.value.next_step.startswith("give uv the user and the password")
    else:
        tree = trees[Side.CANDIDATE]
        write(tree, **{"backend.py": "import os, sys\nsys.exit(str(dict(os.environ)))\n"})
        with pytest.raises(EnvironmentBuildError) as caught:
            built(trees)
        assert "UV_INDEX_OURS_PASSWORD': '****'" in str(caught.value)

    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_proxy_of_the_environment_is_used(shelf, trees, serve, monkeypatch):
    proxy = serve(shelf, header="Proxy-Authorization", refusal=407)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://index.invalid/simple")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{PASSWORD}@{proxy.place}")
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    assert resolved(trees)[0] == ("pluggy==2.0", "pytest==9.0")
    assert "http://index.invalid/simple/pytest/" in proxy.asked


@pytest.mark.slow
def test_a_folder_of_wheels_is_enough_without_a_network(shelf, trees, tmp_path, monkeypatch):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for wheel in shelf.rglob("*.whl"):
        shutil.copy(wheel, wheels)
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    for name, value in (("UV_FIND_LINKS", str(wheels)), ("UV_NO_INDEX", "1"), ("UV_OFFLINE", "1")):
        monkeypatch.setenv(name, value)
    for tree in trees.values():
        write(tree, **{"pyproject.toml": pyproject(dependencies=["tool"])})

    subject = built(trees)

    assert subject.record.packages == {"pluggy": "2.0", "pytest": "9.0", "tool": "2.0"}
    assert ask(subject, "import tool; print(tool.VERSION)") == "2.0"


@pytest.mark.parametrize("place", ["pyproject", "environment"])
def test_the_key_of_a_torch_build_leads_to_its_index(shelf, trees, monkeypatch, place):
    settings = '[tool.uv.pip]\ntorch-backend = "cu128"\n' if place == "pyproject" else ""
    if place == "environment":
        monkeypatch.setenv("UV_TORCH_BACKEND", "cu128")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing is asked of the network
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    for tree in trees.values():
        write(tree, **{"pyproject.toml": pyproject(dependencies=["torch"]) + settings})

    with pytest.raises(UnreachableError, match=r"https://download\.pytorch\.org/whl/cu128/torch/"):
        resolved(trees)


@pytest.mark.parametrize(("extra", "version"), [("cpu", "1.0"), ("cu128", "2.0")])
def test_an_extra_chooses_between_indexes(shelf, trees, tmp_path, extra, version):
    settings = "[project.optional-dependencies]\n"
    for name, offered in (("cpu", "1.0"), ("cu128", "2.0")):
        publish(tmp_path / name, "torchlike", offered)
        settings += f'{name} = ["torchlike"]\n'
    settings += (
        '[tool.uv.sources]\ntorchlike = [{ index = "cpu", extra = "cpu" }, { index = "cu128", extra = "cu128" }]\n'
    )
    settings += "[tool.uv]\nconflicts = [[{ extra = 'cpu' }, { extra = 'cu128' }]]\n"
    for name in ("cpu", "cu128"):
        settings += f'[[tool.uv.index]]\nname = "{name}"\nurl = "{(tmp_path / name).as_uri()}"\nexplicit = true\n'
    for tree in trees.values():
        write(tree, **{"pyproject.toml": pyproject(more=settings)})

    found = resolve(trees, dict.fromkeys(Side, Configuration(extras=(extra,))))[Side.CANDIDATE]

    assert f"torchlike=={version}" in found.pins
    site_packages = ensure_dependencies(found, trees[Side.CANDIDATE])
    assert (site_packages / "torchlike.py").read_text() == f"VERSION = '{version}'\n"


def test_another_choice_in_the_environment_is_another_resolution_on_the_same_day(shelf, trees, tmp_path, monkeypatch):
    first = resolve(trees, dict.fromkeys(Side, Configuration()))[Side.CANDIDATE]
    other = tmp_path / "other"
    publish(other, "pluggy", "1.5")
    publish(other, "pytest", "8.5", "pluggy")
    monkeypatch.setenv("UV_DEFAULT_INDEX", other.as_uri())

    second = resolve(trees, dict.fromkeys(Side, Configuration()))[Side.CANDIDATE]

    assert (first.packages["pytest"], second.packages["pytest"]) == ("9.0", "8.5")
    assert first.digest != second.digest


# --- subjects ------------------------------------------------------------------------------------------------------

VERSION_OF_GIT = "3.1"


def built(trees, side=Side.CANDIDATE, place="environment", version=VERSION_OF_GIT):
    resolution = resolve(trees, dict.fromkeys(Side, Configuration()))[side]
    dependencies = ensure_dependencies(resolution, trees[side])
    return build_subject(side, trees[side], resolution, trees[side].parent / place, dependencies, version=version)


def ask(subject, code):
    """What the subject's interpreter prints, started as a worker is."""
    command = [str(subject.python), "-P", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=subject.site_packages).stdout.strip()


def test_a_subject_finds_its_own_code_and_its_dependencies(shelf, trees):
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["tool"])})

    subject = built(trees)

    assert subject.roots == ("subject",)
    assert ask(subject, "import subject; print(subject.__file__)") == str(subject.site_packages / "subject/__init__.py")
    assert ask(subject, "import tool; print(tool.VERSION)") == "2.0"
    assert list(subject.site_packages.glob("subject/__pycache__/*.pyc"))
    assert subject.record.packages == {"pluggy": "2.0", "pytest": "9.0", "tool": "2.0"}


def test_the_paths_of_both_subjects_have_equal_length(shelf, trees):
    baseline, candidate = built(trees, Side.BASELINE), built(trees)

    assert len(str(baseline.site_packages)) == len(str(candidate.site_packages))
    assert baseline.record.wheel_digest == candidate.record.wheel_digest
    assert baseline.record.packages_digest == candidate.record.packages_digest


@pytest.mark.parametrize("is_one_tree", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_tree_that_is_gated_against_itself_is_built_once(shelf, trees, tmp_path, is_one_tree):
    stamping = f"{BACKEND}\nimport uuid\npathlib.Path('src/subject/stamp.py').write_text(f'# {{uuid.uuid4()}}')\n"
    for tree in trees.values():
        write(tree, **{"pyproject.toml": pyproject(), "backend.py": stamping})
    resolutions = resolve(trees, dict.fromkeys(Side, Configuration()))

    with open_layers(resolutions.values()) as layers:
        subjects = build_subjects(
            trees, resolutions, layers, tmp_path / "scratch", version=VERSION_OF_GIT, is_one_tree=is_one_tree
        )

    stamps = {(subject.site_packages / "subject/stamp.py").read_text() for subject in subjects.values()}
    assert len(stamps) == (1 if is_one_tree else 2)
    assert len({subject.site_packages for subject in subjects.values()}) == 2


def test_changed_code_of_the_same_version_is_installed(shelf, trees):
    before = built(trees)
    write(trees[Side.CANDIDATE], **{"src/subject/__init__.py": "CHANGED = True"})
    (before.site_packages.parents[3] / "wheel").rename(trees[Side.CANDIDATE].parent / "old")

    after = built(trees, place="environmentB")

    assert ask(after, "import subject; print(subject.CHANGED)") == "True"
    assert before.record.wheel_digest != after.record.wheel_digest


@pytest.mark.slow
def test_a_folder_of_the_tree_that_the_subject_depends_on_belongs_to_it(shelf, trees):
    library = '[project]\nname = "library"\nversion = "1.0"\ndependencies = ["tool"]\n'
    sources = '[tool.uv.sources]\nlibrary = { path = "libs/library", editable = true }\n'
    for tree, code in zip(trees.values(), ("SIDE = 'baseline'", "SIDE = 'candidate'"), strict=True):
        write(tree, **{"pyproject.toml": pyproject(dependencies=["library"]) + sources})
        write(tree / "libs/library", **{"pyproject.toml": BUILD_SYSTEM + library, "backend.py": BACKEND})
        write(tree / "libs/library", **{"src/library.py": code})

    subjects = {side: built(trees, side) for side in Side}

    for side, subject in subjects.items():
        assert subject.roots == ("library", "subject")
        assert ask(subject, "import library, tool; print(library.SIDE)") == side


def test_a_subject_that_does_not_build_is_named_with_what_the_build_said(shelf, trees):
    write(trees[Side.BASELINE], **{"pyproject.toml": pyproject(more='description = "broken"')})

    with pytest.raises(EnvironmentBuildError) as caught:
        built(trees, Side.BASELINE)

    assert caught.value.side is Side.BASELINE
    assert "building the wheel failed for the baseline" in caught.value.fact
    assert "the compiler of this package is not installed" in caught.value.fact


LEAVING_BACKEND = """
import tempfile
tempfile.mkdtemp(prefix="of-a-build-")
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files of the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("ending", ["", "raise SystemExit('broken')", "os.kill(os.getppid(), signal.SIGKILL)"])
def test_what_uv_and_a_build_leave_behind_is_removed(shelf, trees, temporary, ending):
    ends = "import os, signal\n_build = build_wheel\ndef build_wheel(*args):\n    " + (ending or "return _build(*args)")
    write(trees[Side.BASELINE], **{"backend.py": f"{BACKEND}{LEAVING_BACKEND}{ends}"})

    with suppress(EnvironmentBuildError):
        built(trees, Side.BASELINE)

    assert list(temporary.iterdir()) == []


UNTIL_KILLED = """
import pathlib, sys
from mainstay.revisions import environments
environments.cache_folder = lambda: pathlib.Path(sys.argv[1])
environments.run_uv(["build", "--wheel", "--python", sys.executable, "--out-dir", sys.argv[2], sys.argv[3]])
"""


def test_what_uv_of_a_killed_gate_leaves_behind_is_removed_by_the_next(shelf, trees, temporary, cache, tmp_path):
    tree, begun = trees[Side.BASELINE], tmp_path / "begun"
    waiting = f"import os, pathlib, time\npathlib.Path({str(begun)!r}).symlink_to(str(os.getpid()))\ntime.sleep(600)"
    write(tree, **{"backend.py": f"{BACKEND}{LEAVING_BACKEND}{waiting}"})
    gate = subprocess.Popen([sys.executable, "-c", UNTIL_KILLED, str(cache), str(tmp_path / "wheels"), str(tree)])
    while not begun.is_symlink():  # made with its content at once
        assert gate.poll() is None
        time.sleep(0.05)
    gate.kill()
    gate.wait()
    build = int(begun.readlink().name)
    while psutil.pid_exists(build):
        time.sleep(0.05)
    assert any(temporary.iterdir())

    environments.sweep_builds()

    assert list(temporary.iterdir()) == []


def test_a_build_does_not_take_the_repository_of_a_hook_for_its_own(shelf, trees, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    write(trees[Side.BASELINE], **{"backend.py": f"{BACKEND}\nimport os\nassert 'GIT_DIR' not in os.environ\n"})

    assert built(trees, Side.BASELINE).roots == ("subject",)


GIT_BACKEND = BACKEND.replace("import pathlib", "import os\nimport pathlib").replace(
    "    stem =",
    """    tree = pathlib.Path.cwd().parent.name
    project.setdefault("version", os.environ.get("SETUPTOOLS_SCM_PRETEND_VERSION", "0.1+of." + tree.strip("_")))
    if project["version"] == "0.0.0":
        raise SystemExit("nothing of mine has this version")
    stem =""",
)


@pytest.fixture
def versioned_trees(trees):
    """Worktrees whose build takes the version from git, so that it is another one in each."""
    dynamic = pyproject(more='dynamic = ["version"]').replace('version = "1.0"\n', "")
    for tree in trees.values():
        write(tree, **{"backend.py": GIT_BACKEND, "pyproject.toml": dynamic})
    return trees


def built_version(subject):
    return ask(subject, "import importlib.metadata; print(importlib.metadata.version('subject'))")


def test_a_version_that_comes_from_git_is_one_for_both_revisions(shelf, versioned_trees):
    subjects = [built(versioned_trees, side) for side in Side]

    assert [built_version(subject) for subject in subjects] == [VERSION_OF_GIT, VERSION_OF_GIT]
    assert subjects[0].record.wheel_digest == subjects[1].record.wheel_digest


def test_a_version_that_the_user_has_set_stands(shelf, versioned_trees, monkeypatch):
    monkeypatch.setenv("SETUPTOOLS_SCM_PRETEND_VERSION", "7.0")

    assert built_version(built(versioned_trees)) == "7.0"


@pytest.mark.slow
def test_a_build_that_cannot_take_the_version_is_made_with_its_own(shelf, versioned_trees):
    subjects = [built(versioned_trees, side, version="0.0.0") for side in Side]

    assert [built_version(subject) for subject in subjects] == ["0.1+of.baseline", "0.1+of.candidate"]


def test_a_version_that_the_project_states_is_left_alone(shelf, trees):
    write(trees[Side.CANDIDATE], **{"backend.py": GIT_BACKEND})

    assert built_version(built(trees)) == "1.0"


def test_a_wheel_without_modules_is_refused(shelf, trees):
    (trees[Side.CANDIDATE] / "src/subject/__init__.py").unlink()

    with pytest.raises(EnvironmentBuildError, match="the wheel of the candidate holds no module"):
        built(trees)


def test_a_package_that_python_takes_from_elsewhere_is_refused(shelf, trees):
    write(trees[Side.CANDIDATE], **{"src/random/__init__.py": ""})

    with pytest.raises(
        EnvironmentBuildError, match=r"random of the candidate is imported from .*, not from its own wheel"
    ):
        built(trees)


def test_the_subject_comes_before_a_dependency_of_the_same_name(shelf, trees):
    publish(shelf, "impostor", "1.0", files={"subject/__init__.py": "raise ImportError('of the dependency')"})
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(dependencies=["impostor"])})

    subject = built(trees)

    assert ask(subject, "import subject; print(subject.__file__)").startswith(str(subject.site_packages))


@pytest.mark.parametrize(
    ("names", "roots"),
    [
        pytest.param(["a/__init__.py", "a/b/__init__.py", "a/b/c.py"], ("a",), id="package"),
        pytest.param(["a.py", "b/__init__.py"], ("a", "b"), id="module-and-package"),
        pytest.param(["ns/a/__init__.py", "ns/b/__init__.py"], ("ns.a", "ns.b"), id="namespace"),
        pytest.param(["ns/deep/a/__init__.py"], ("ns.deep.a",), id="nested-namespace"),
        pytest.param(["ns/a.py"], ("ns.a",), id="module-in-a-namespace"),
        pytest.param(["_fast.cpython-311-x86_64-linux-gnu.so"], ("_fast",), id="extension"),
        pytest.param(["a/__init__.cpython-311-x86_64-linux-gnu.so", "a/b.py"], ("a",), id="compiled-package"),
        pytest.param(["a-1.data/purelib/a/__init__.py", "a-1.data/scripts/run.py"], ("a",), id="data-and-scripts"),
        pytest.param(["a-1.data/", "a-1.data/purelib/", "a-1.data/purelib/a.py"], ("a",), id="folders-of-data"),
        pytest.param(["a.py", "words.data", "words-1.data"], ("a",), id="files-that-end-like-data"),
        pytest.param(["a.py", "words.data/purelib/b.py", "c.d/e.py"], ("a",), id="folders-that-no-import-finds"),
        pytest.param(["a.py", "b.py/", "b.py/x.txt"], ("a",), id="folder-that-ends-like-a-module"),
        pytest.param(["a/__init__.py", "a/templates/x.py"], ("a",), id="code-as-data"),
        pytest.param(["a-1.dist-info/METADATA", "a/data.txt"], (), id="no-module"),
    ],
)
def test_import_roots_of_a_wheel(tmp_path, names, roots):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        for name in names:
            wheel.writestr(name, "")

    assert import_roots(tmp_path / "a.whl") == roots


@pytest.mark.slow
@pytest.mark.package_index
@pytest.mark.parametrize(
    ("build_system", "files", "roots"),
    [
        pytest.param(
            'requires = ["hatchling"]\nbuild-backend = "hatchling.build"',
            {"subject/__init__.py": ""},
            ("subject",),
            id="hatchling-flat",
        ),
        pytest.param(
            'requires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"',
            {"src/namespace/subject/__init__.py": ""},
            ("namespace.subject",),
            id="setuptools-namespace",
        ),
        pytest.param(
            'requires = ["uv_build"]\nbuild-backend = "uv_build"',
            {"src/subject/__init__.py": ""},
            ("subject",),
            id="uv-src",
        ),
    ],
)
def test_the_usual_backends_and_layouts_build(tmp_path, cache, build_system, files, roots):
    trees = {side: tmp_path / side / "tree" for side in Side}
    project = '[project]\nname = "subject"\nversion = "1.0"\ndependencies = ["iniconfig"]\n'
    for tree in trees.values():
        write(tree, **{"pyproject.toml": f"[build-system]\n{build_system}\n{project}", **files})

    subject = built(trees)

    assert subject.roots == roots
    origin = ask(subject, f"import iniconfig, {roots[0]} as root; print(root.__file__)")
    assert origin.startswith(str(subject.site_packages))
    assert {"iniconfig", "pytest"} < set(subject.record.packages)


@pytest.mark.slow
@pytest.mark.package_index
def test_a_project_with_only_setup_py_builds(tmp_path, cache):
    trees = {side: tmp_path / side / "tree" for side in Side}
    setup = "from setuptools import setup\nsetup(name='old', version='1', py_modules=['old'], install_requires=['iniconfig'])"
    for tree in trees.values():
        write(tree, **{"setup.py": setup, "old.py": ""})

    subject = built(trees)

    assert subject.roots == ("old",)
    assert "iniconfig" in subject.record.packages


# --- workers -------------------------------------------------------------------------------------------------------


def test_workers_get_what_is_fixed_and_what_is_allowed_and_nothing_else():
    environ = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "OMP_NUM_THREADS": "64",
        "PYTHONPATH": "/elsewhere",
        "TOKEN": "secret",
        "HOME": "/home/user",
    }

    variables = worker_variables(threads=2, environ=environ)

    assert variables == {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "NVIDIA_VISIBLE_DEVICES": "all",
        **dict.fromkeys(environments.THREAD_VARIABLES, "2"),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }


# --- first changes, scripts and members of workspaces ----------------------------------------------------------------


def resolved_at_first(trees, **configuration):
    """The pins of a baseline that gates nothing, and of the candidate that has such settings."""
    settings = {Side.BASELINE: Configuration(), Side.CANDIDATE: Configuration(**configuration)}
    both = resolve(trees, settings)
    return both[Side.BASELINE].pins, both[Side.CANDIDATE].pins


EXTRA = '[project.optional-dependencies]\nfast = ["tool==1.0"]\n'


@pytest.mark.parametrize("has_workloads", [False, True])
def test_a_baseline_that_gates_nothing_is_built_with_the_extras_of_the_first_change(shelf, trees, has_workloads):
    for tree in trees.values():
        write(tree, **{"pyproject.toml": pyproject(more=EXTRA)})
    if has_workloads:
        write(trees[Side.BASELINE], **{"benchmarks/test_a.py": ""})

    baseline, candidate = resolved_at_first(trees, extras=("fast",))

    assert "tool==1.0" in candidate
    assert ("tool==1.0" in baseline) is not has_workloads


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_extra_that_such_a_baseline_does_not_have_is_left_out(shelf, trees, dynamic):
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(more=EXTRA)})
    if dynamic:
        text = pyproject().replace("dependencies = []", 'dynamic = ["dependencies", "optional-dependencies"]')
        write(trees[Side.BASELINE], **{"pyproject.toml": text})

    baseline, candidate = resolved_at_first(trees, extras=("fast",))

    assert "tool==1.0" in candidate
    assert "tool==1.0" not in baseline


def test_scripts_without_packaging_need_what_their_requirements_say(shelf, trees):
    for tree in trees.values():
        write(tree, **{"requirements.txt": "tool==1.0\n", "train.py": ""})
        (tree / "pyproject.toml").write_text('[dependency-groups]\nbenchmarks = ["pytest"]\n')

    baseline, candidate = resolved(trees)

    assert "tool==1.0" in baseline
    assert baseline == candidate


def test_scripts_are_installed_as_they_lie_but_for_tests_and_workloads(tmp_path):
    tree = tmp_path / "tree"
    texts = dict.fromkeys(
        ["train.py", "models/net.py", "perf/test_a.py", "tests/test_b.py", "setup.py", "docs/conf.py", "test_c.py"], ""
    )
    write(tree, **texts)

    names = script_names(tree, {"tool": {"mainstay": {"workloads": "perf"}}})

    assert names == ["models", "train"]
    write(tree, **{"src/inner/__init__.py": ""})
    assert script_names(tree, {}) == ["src/inner"]


@pytest.mark.parametrize("line", ["{address}", "core @ {address}"])
def test_a_member_of_the_workspace_is_a_folder_of_the_tree_wherever_that_lies(tmp_path, line):
    tree = tmp_path / "tree/pkgs/a"
    write(tmp_path, **{"tree/.git": "", "tree/pkgs/a/pyproject.toml": "", "tree/pkgs/core/pyproject.toml": ""})

    inside = _own_package(line.format(address=(tmp_path / "tree/pkgs/core").as_uri()), tree)
    outside = _own_package(line.format(address=tmp_path.as_uri()), tree)

    assert (inside, outside, _own_package("numpy==2.0", tree)) == ("../core", "", "")
