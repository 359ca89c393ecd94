import shutil
from pathlib import Path

import pytest

from mainstay.project.configuration import Configuration
from mainstay.records.errors import EnvironmentBuildError, HarnessError
from mainstay.records.trials import Side
from mainstay.revisions.resolution import Resolution, resolve
from mainstay.revisions.uv_commands import RefusedError, UnreachableError, interpreter_facts
from tests.index_server import PASSWORD, holds_password
from tests.revisions.small_packages import (
    BACKEND,
    BUILD_SYSTEM,
    ask,
    built,
    ensure_dependencies,
    publish,
    pyproject,
    resolved,
    write,
    write_more,
)
from tests.slow_cases import some_always

# --- what each revision is given -----------------------------------------------------------------------------------


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
            ["scale"],
            ["scale; sys_platform == 'none'"],
            ("", ""),
            ("scale",),
            ("scale",),
            id="taken-by-a-marker",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["gauge[fine]"], ["gauge"], ("", ""), ("lens",), ("lens",), id="an-extra-taken-away", marks=pytest.mark.slow
        ),
        pytest.param(
            ["gauge==2.0"],
            ["gauge==3.0"],
            ("", ""),
            ("gauge", "scale"),
            (),
            id="what-a-bump-no-longer-needs",
            marks=pytest.mark.slow,
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
        pytest.param(["pytest", "helper", "bench==2.0"], (), id="no-longer-needed", marks=pytest.mark.slow),
        pytest.param(["pytest", "helper"], ("bench",), id="taken-away", marks=pytest.mark.slow),
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
        pytest.param(
            ([], []), (["tool"], ["tool<2"]), ("tool",), id="first-required-and-held-back", marks=pytest.mark.slow
        ),
        pytest.param((["tool"], []), ([], ["tool"]), ("tool",), id="required-no-longer"),
        pytest.param(
            (["tool"], ["tool"]),
            ([], ["tool"]),
            ("tool",),
            id="required-no-longer-and-still-in-the-group",
            marks=pytest.mark.slow,
        ),
        pytest.param((["tool<2"], []), (["tool"], ["tool<2"]), ("tool",), id="a-bump-that-the-group-holds-back"),
        pytest.param(
            (["tool"], ["tool<2"]),
            (["tool<3"], ["tool<2"]),
            (),
            id="held-back-before-and-after",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            (["tool<1.5"], []),
            (["tool"], ["tool<2"]),
            ("tool",),
            id="a-bump-that-is-held-back-in-part",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            (["tool<2"], ["tool<1.5"]),
            (["tool"], ["tool<1.5"]),
            ("tool",),
            id="a-bump-held-back-as-before",
            marks=pytest.mark.slow,
        ),
        pytest.param((["tool"], []), ([], ["gauge"]), ("tool",), id="required-no-longer-and-brought-indirectly"),
        pytest.param(
            (["tool"], ["gauge"]),
            ([], ["gauge"]),
            ("tool",),
            id="required-no-longer-and-brought-as-before",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            (["pluggy"], []),
            ([], ["pluggy"]),
            ("pluggy",),
            id="required-no-longer-and-needed-by-pytest-too",
            marks=pytest.mark.slow,
        ),
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


@pytest.mark.parametrize("released", [(), pytest.param(("0.9",), marks=pytest.mark.slow)], ids=["unknown", "released"])
def test_a_group_may_name_extras_of_the_project_itself(shelf, trees, released):
    publish(shelf, "gauge", "1.0")
    publish(shelf, "meter", "1.0")
    for version in released:
        publish(shelf, "subject", version)
    for tree, wanted, extra in zip(trees.values(), ("tool==1.0", "tool==2.0"), ("", ', "meter"'), strict=True):
        extras = f'[project.optional-dependencies]\nall = ["subject[bench]"]\nbench = ["gauge"{extra}]\n'
        project = pyproject(dependencies=[wanted], benchmarks=["pytest", "Subject[all]"], more=extras)
        write(tree, **{"pyproject.toml": project})

    both = resolve(trees, dict.fromkeys(Side, Configuration()))

    measuring = ("gauge==1.0", "meter==1.0", "pluggy==2.0", "pytest==9.0")
    assert both[Side.BASELINE].pins == (*measuring, "tool==1.0")
    assert both[Side.CANDIDATE].pins == (*measuring, "tool==2.0")
    assert (both[Side.BASELINE].altered, both[Side.BASELINE].lacking) == (("meter",), ())
    assert (both[Side.BASELINE].contested, both[Side.BASELINE].local) == ((), ())


@pytest.mark.parametrize(
    ("named_by", "local"),
    [
        pytest.param([*Side], ("helper",), id="both"),
        pytest.param([Side.CANDIDATE], ("helper",), id="the-candidate", marks=pytest.mark.slow),
        pytest.param([Side.BASELINE], ("helper",), id="the-baseline"),
        pytest.param([], (), id="neither", marks=pytest.mark.slow),
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


@pytest.mark.parametrize("more", ["", pytest.param(", editable = true", marks=pytest.mark.slow)])
def test_a_path_that_a_package_of_the_tree_names_starts_from_that_package(shelf, trees, more):
    sources = "[tool.uv.sources]\n{} = {{ path = '{}'{} }}\n"
    package = '{}\n[project]\nname = "{}"\nversion = "1.0"\ndependencies = {}\n'
    for side, tree in trees.items():
        source = f'description = "{side}"\n{sources.format("library", "libs/library", more)}'
        library = package.format(BUILD_SYSTEM, "library", ["common"]) + sources.format("common", "../common", more)
        write(tree, **{"pyproject.toml": pyproject(dependencies=["library"], more=source)})
        write(tree, **{"libs/library/backend.py": BACKEND, "libs/library/pyproject.toml": library})
        for place in (tree / "libs/common", tree.parent / "common"):
            write(place, **{"backend.py": BACKEND, "pyproject.toml": package.format(BUILD_SYSTEM, "common", [])})

    both = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert {resolution.local for resolution in both.values()} == {("libs/common", "libs/library")}


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


@pytest.mark.parametrize("present", some_always(["folder", "nothing", "another-package"], {"folder"}))
def test_a_folder_that_becomes_a_measuring_package_is_none_in_the_baseline(shelf, trees, present):
    own = f'{BUILD_SYSTEM}\n[project]\nname = "helper"\nversion = "1.0"\ndependencies = []\n'
    source = '[tool.uv.sources]\nhelper = { path = "helper" }\n'
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(benchmarks=["pytest", "helper"], more=source)})
    write(trees[Side.CANDIDATE] / "helper", **{"backend.py": BACKEND, "src/helper.py": "", "pyproject.toml": own})
    write(trees[Side.BASELINE], **({} if present == "nothing" else {"helper/src/helper.py": ""}))
    if present == "another-package":
        write(
            trees[Side.BASELINE] / "helper", **{"backend.py": BACKEND, "pyproject.toml": own.replace("helper", "tool")}
        )

    both = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert both[Side.BASELINE].local == ()
    assert both[Side.CANDIDATE].local == ("helper",)


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
        pytest.param(
            (["helper"], []), (["helper"], ["helper"]), (), id="required-before-and-after", marks=pytest.mark.slow
        ),
        pytest.param(
            ([], ["helper"]), (["helper"], []), ("helper",), id="moved-from-the-group", marks=pytest.mark.slow
        ),
        pytest.param(([], []), (["helper"], []), (), id="first-required-and-not-in-the-group", marks=pytest.mark.slow),
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


IN_TREE = '[tool.uv.sources]\nhelper = { path = "helper" }\n'

SOURCES = {
    "dropped-and-still-brought": (
        (["helper"], [], ""),
        ([], ["helper"], IN_TREE),
        ["helper==2.0", "meter==1.0"],
        ("helper",),
    ),
    "added-and-had-before": (([], ["helper"], IN_TREE), (["helper"], [], ""), ["helper"], ("helper",)),
    "added-and-still-had": (([], ["helper"], IN_TREE), (["helper"], ["helper"], ""), ["helper==2.0"], ("helper",)),
    "moved-to-the-tree": ((["helper"], [], ""), (["helper"], ["helper"], IN_TREE), ["helper==2.0"], ()),
    "moved-to-the-index": ((["helper"], [], IN_TREE), (["helper"], ["helper"], ""), ["helper", "meter==1.0"], ()),
    "replaced-before": ((["gauge"], ["helper"], IN_TREE), (["gauge"], [], ""), ["helper", "meter==1.0"], ()),
    "replaced-as-before": (
        (["gauge<2"], ["helper"], IN_TREE),
        (["gauge"], ["helper"], IN_TREE),
        ["helper", "meter==1.0"],
        (),
    ),
}
"""Dependencies, group and sources of both revisions, what the baseline has of two packages, and what needs a review."""


@pytest.mark.parametrize(
    "case",
    some_always(SOURCES, {"dropped-and-still-brought", "added-and-had-before"}),
)
def test_a_package_has_one_source_in_the_baseline_whether_it_lies_in_the_tree_or_in_an_index(shelf, trees, case):
    before, after, of_baseline, contested = SOURCES[case]
    publish(shelf, "helper", "2.0")
    publish(shelf, "gauge", "1.0", "helper")
    publish(shelf, "gauge", "2.0", "helper")
    publish(shelf, "meter", "1.0")
    own = f'{BUILD_SYSTEM}\n[project]\nname = "helper"\nversion = "1.0"\ndependencies = ["meter"]\n'
    for tree, (dependencies, group, source) in zip(trees.values(), (before, after), strict=True):
        write(tree, **{"pyproject.toml": pyproject(dependencies=dependencies, benchmarks=group, more=source)})
        write(tree / "helper", **{"backend.py": BACKEND, "src/helper.py": "", "pyproject.toml": own})

    baseline = resolve(trees, dict.fromkeys(Side, Configuration()))[Side.BASELINE]

    found = [each for each in (*baseline.local, *baseline.pins) if each.startswith(("helper", "meter"))]
    assert found == of_baseline
    assert baseline.contested == contested


@pytest.mark.parametrize(
    ("before", "after", "given"),
    [
        pytest.param("", IN_TREE, ["helper"], id="to-the-tree"),
        pytest.param(IN_TREE, "", ["helper==2.0"], id="to-the-index"),
    ],
)
def test_a_measuring_package_that_moves_between_the_tree_and_an_index_is_the_same_in_both_revisions(
    shelf, trees, before, after, given
):
    publish(shelf, "helper", "2.0")
    own = f'{BUILD_SYSTEM}\n[project]\nname = "helper"\nversion = "1.0"\ndependencies = []\n'
    for tree, source in zip(trees.values(), (before, after), strict=True):
        write(tree, **{"pyproject.toml": pyproject(benchmarks=["pytest", "helper"], more=source)})
        write(tree / "helper", **{"backend.py": BACKEND, "src/helper.py": "", "pyproject.toml": own})

    both = resolve(trees, dict.fromkeys(Side, Configuration()))

    for found in both.values():
        assert [each for each in (*found.local, *found.pins) if each.startswith("helper")] == given
    assert (both[Side.BASELINE].altered, both[Side.BASELINE].lacking) == (("helper",), ())


@pytest.mark.parametrize(
    ("places", "place"),
    [pytest.param(("old", "new"), "new", id="both"), pytest.param(("old",), "old", id="the-former-alone")],
)
def test_a_measuring_package_that_moves_in_the_tree_is_given_to_the_baseline_once(shelf, trees, places, place):
    for tree, named, present in ((trees[Side.BASELINE], "old", places), (trees[Side.CANDIDATE], "new", ("new",))):
        source = f'[tool.uv.sources]\nhelper = {{ path = "{named}/helper/helper-1.0-py3-none-any.whl" }}\n'
        write(tree, **{"pyproject.toml": pyproject(benchmarks=["pytest", "helper"], more=source)})
        for folder in present:
            publish(tree / folder, "helper", "1.0")

    baseline = resolve(trees, dict.fromkeys(Side, Configuration()))[Side.BASELINE]

    assert baseline.local == (f"{place}/helper/helper-1.0-py3-none-any.whl",)
    assert (baseline.lacking, baseline.contested) == ((), ())


def test_a_conflict_between_measuring_and_baseline_names_both_pins(shelf, trees):
    write(trees[Side.BASELINE], **{"pyproject.toml": pyproject(dependencies=["pytest<9"])})
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(benchmarks=["pytest>=9"])})

    with pytest.raises(HarnessError) as caught:
        resolved(trees)

    assert caught.value.side is Side.BASELINE
    assert "are incompatible with the baseline: pytest==9.0" in caught.value.fact
    assert "pytest<9" in caught.value.fact


def newer(limit):
    return f'exclude-newer = "{limit}-01T00:00:00Z"\n' if limit else ""


@pytest.mark.parametrize(
    ("before", "after", "version"),
    [
        pytest.param(newer("2026-10"), newer("2026-11"), "9.0", id="later"),
        pytest.param(newer("2026-10"), "", "9.0", id="removed", marks=pytest.mark.slow),
        pytest.param("", newer("2026-10"), "8.0", id="added", marks=pytest.mark.slow),
        pytest.param(
            newer("2026-10"),
            newer("2026-10") + 'exclude-newer-package = { pytest = "2026-11-01T00:00:00Z" }\n',
            "9.0",
            id="of-one-package",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            newer("2026-10"), f"[tool.uv.pip]\n{newer('2026-11')}", "9.0", id="for-pip", marks=pytest.mark.slow
        ),
    ],
)
def test_measuring_packages_are_as_new_as_the_candidate_allows(
    shelf, trees, serve, monkeypatch, before, after, version
):
    index = serve(shelf, uploaded={"pytest-9.0-py3-none-any.whl": "2026-10-15T00:00:00Z"})
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://me:{PASSWORD}@{index.place}/simple")
    for tree, limit in zip(trees.values(), (before, after), strict=True):
        write(tree, **{"pyproject.toml": f"{pyproject(dependencies=['tool==1.0'])}\n[tool.uv]\n{limit}"})

    found = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert f"pytest=={version}" in found[Side.BASELINE].pins
    assert found[Side.BASELINE].pins == found[Side.CANDIDATE].pins
    assert installed(found, trees, "pytest") == [f"VERSION = '{version}'\n"] * 2


@pytest.mark.parametrize("name", ["constraint-dependencies", "override-dependencies"])
def test_a_setting_of_the_baseline_that_holds_a_measuring_package_back_is_named(shelf, trees, name):
    publish(shelf, "gauge", "1.0")
    publish(shelf, "gauge", "2.0")
    for tree, version in zip(trees.values(), ("1.0", "2.0"), strict=True):
        settings = f'[tool.uv]\n{name} = ["gauge=={version}"]\n'
        write(tree, **{"pyproject.toml": pyproject(benchmarks=["pytest", "gauge"]) + settings})

    with pytest.raises(HarnessError, match="incompatible with the baseline: gauge==2.0") as caught:
        resolved(trees)

    assert caught.value.side is Side.BASELINE
    assert f"the setting {name} of uv in the baseline decides on gauge" in caught.value.fact
    assert f"first move gauge from {name} to the group" in caught.value.next_step


def test_a_setting_of_the_baseline_that_excludes_a_measuring_package_has_to_be_removed_first(shelf, trees):
    publish(shelf, "gauge", "1.0")
    excluding = '[tool.uv]\nexclude-dependencies = ["gauge"]\n'
    write(trees[Side.BASELINE], **{"pyproject.toml": pyproject(benchmarks=["pytest"]) + excluding})
    write(trees[Side.CANDIDATE], **{"pyproject.toml": pyproject(benchmarks=["pytest", "gauge"])})

    with pytest.raises(HarnessError, match="the setting exclude-dependencies .* decides on gauge") as caught:
        resolved(trees)

    assert caught.value.next_step == "first remove gauge from exclude-dependencies, in a change of its own"


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


@pytest.mark.parametrize("place", some_always(["project", "file"], {"project"}))
@pytest.mark.parametrize(
    "setting",
    some_always(
        [
            'extra = ["more"]',
            "all-extras = true",
            "require-hashes = true",
            'target = "out"',
            'prefix = "out"',
            "no-deps = true",
        ],
        {'extra = ["more"]', 'target = "out"'},
    ),
    ids=lambda setting: setting.partition(" ")[0],
)
def test_settings_of_an_environment_of_the_project_do_not_hinder_a_gate(shelf, trees, monkeypatch, setting, place):
    publish(shelf, "gauge", "1.0", "meter")
    publish(shelf, "meter", "1.0")
    for tree, wanted in zip(trees.values(), ("tool==1.0", "tool==2.0"), strict=True):
        more = '[project.optional-dependencies]\nmore = ["meter"]\n'
        more += f"[tool.uv.pip]\n{setting}\n" if place == "project" else ""
        text = pyproject(dependencies=[wanted], benchmarks=["pytest", "gauge"], more=more)
        write(tree, **{"pyproject.toml": text})
        if place == "file":
            write(tree, **{"uv.toml": f"[pip]\n{setting}\n"})
    monkeypatch.chdir(trees[Side.CANDIDATE])

    found = resolve(trees, dict.fromkeys(Side, Configuration()))
    subject = built(trees)

    assert found[Side.BASELINE].pins == ("gauge==1.0", "meter==1.0", "pluggy==2.0", "pytest==9.0", "tool==1.0")
    assert {*found[Side.CANDIDATE].pins} ^ {*found[Side.BASELINE].pins} == {"tool==1.0", "tool==2.0"}
    assert not found[Side.BASELINE].contested
    assert ask(subject, "import meter, pluggy, pytest, tool; print(tool.VERSION)") == "2.0"
    assert not any((tree / "out").exists() for tree in trees.values())


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
    interpreter_facts()  # asks uv once

    def run_uv(arguments, **_):
        file = Path(arguments[arguments.index("--output-file") + 1])
        file.write_text("" if file.name == "pylock.toml" else output)

    monkeypatch.setattr("mainstay.revisions.requests.run_uv", run_uv)

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


INCLUDED = {
    "beside-it": ("-c more.txt", "constraints/more.txt", "-c base.txt"),
    "elsewhere": ("--constraint=../pins/more.txt  # shared", "pins/more.txt", "-c ../constraints/base.txt"),
    "required": ("-r more.txt", "constraints/more.txt", "--requirement base.txt"),
}
"""Lines by which a constraints file includes another, the place of that one, and lines by which it includes the first."""


@pytest.mark.parametrize("name", some_always(INCLUDED, {"elsewhere"}))
def test_a_constraints_file_may_include_others(shelf, trees, name):
    line, place, back = INCLUDED[name]
    for tree, version in zip(trees.values(), ("1.0", "2.0"), strict=True):
        write(tree, **{"constraints/base.txt": f"{line}\npytest==8.0\n", place: f"tool=={version}\n{back}\n"})
        write(tree, **{"pyproject.toml": pyproject(dependencies=["tool"])})

    assert resolved(trees, constraints=("constraints/base.txt",)) == (
        ("pluggy==2.0", "pytest==8.0", "tool==1.0"),
        ("pluggy==2.0", "pytest==8.0", "tool==2.0"),
    )


@pytest.mark.parametrize("line", ["-c more.txt", "-c ../more.txt"])
@pytest.mark.parametrize("side", Side)
def test_a_constraints_file_that_is_included_from_nowhere_in_the_tree_is_named(trees, side, line):
    write(trees[side], **{"constraints.txt": line, "../more.txt": "tool==1.0\n"})
    write(trees[Side.CANDIDATE], **{"constraints.txt": line if side is Side.CANDIDATE else ""})

    with pytest.raises(EnvironmentBuildError) as caught:
        resolved(trees, constraints=("constraints.txt",))

    assert caught.value.side is side
    assert f"'constraints.txt' includes '{line.removeprefix('-c ')}'" in caught.value.fact


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


# --- whom a failure is blamed on -----------------------------------------------------------------------------------


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


# --- package indexes, and settings of an installation --------------------------------------------------------------


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


INDEXES = """
[[tool.uv.index]]
name = "one"
url = "{one}"
explicit = {explicit}
[[tool.uv.index]]
name = "two"
url = "{two}"
explicit = {explicit}
"""


def in_two_indexes(folder, name):
    """Publish other packages of one name and version, and return the indexes of a pyproject.toml."""
    for place in ("one", "two"):
        publish(folder / place, name, "1.0", files={f"{name}.py": f"PLACE = {place!r}\n"})
    return INDEXES.format(explicit="true", one=(folder / "one").as_uri(), two=(folder / "two").as_uri())


def from_index(name, place):
    return f'[tool.uv.sources]\n{name} = {{ index = "{place}" }}\n' if place else ""


def installed(found, trees, name):
    """What is installed for each revision as a module."""
    return [(ensure_dependencies(found[side], trees[side]) / f"{name}.py").read_text() for side in Side]


@pytest.mark.parametrize(
    ("explicit", "before", "after"),
    [
        pytest.param(True, "one", "two", id="moved"),
        pytest.param(False, "one", "two", id="moved-between-visible-ones", marks=pytest.mark.slow),
        pytest.param(True, None, "two", id="moved-from-the-default"),
        pytest.param(True, "one", None, id="moved-to-the-default", marks=pytest.mark.slow),
    ],
)
def test_a_package_is_installed_from_the_index_that_its_source_names(shelf, trees, tmp_path, explicit, before, after):
    publish(shelf, "gauge", "1.0", files={"gauge.py": "PLACE = None\n"})
    indexes = in_two_indexes(tmp_path, "gauge").replace("explicit = true", f"explicit = {str(explicit).lower()}")
    for tree, place in zip(trees.values(), (before, after), strict=True):
        write(tree, **{"pyproject.toml": pyproject(dependencies=["gauge"]) + indexes + from_index("gauge", place)})

    found = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert found[Side.BASELINE].pins == found[Side.CANDIDATE].pins
    assert found[Side.BASELINE].digest != found[Side.CANDIDATE].digest
    assert installed(found, trees, "gauge") == [f"PLACE = {place!r}\n" for place in (before, after)]


def test_a_measuring_package_from_another_index_measures_both_revisions(shelf, trees, tmp_path):
    indexes = in_two_indexes(tmp_path, "gauge")
    for tree, place in zip(trees.values(), ("one", "two"), strict=True):
        text = pyproject(benchmarks=["pytest", "gauge"]) + indexes + from_index("gauge", place)
        write(tree, **{"pyproject.toml": text})

    found = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert found[Side.BASELINE].altered == ("gauge",)
    assert installed(found, trees, "gauge") == ["PLACE = 'two'\n"] * 2


def test_a_measuring_package_from_an_index_that_the_baseline_does_not_name_is_contested(shelf, trees, tmp_path):
    publish(shelf, "gauge", "1.0")
    indexes = in_two_indexes(tmp_path, "gauge")
    for tree, more in zip(trees.values(), ("", indexes + from_index("gauge", "two")), strict=True):
        write(tree, **{"pyproject.toml": pyproject(benchmarks=["pytest", "gauge"]) + more})

    found = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert found[Side.BASELINE].contested == ("gauge",)
    assert installed(found, trees, "gauge") == ["VERSION = '1.0'\n", "PLACE = 'two'\n"]


def test_a_measuring_package_of_an_index_that_moves_is_contested(shelf, trees, tmp_path):
    in_two_indexes(tmp_path, "gauge")
    for tree, place in zip(trees.values(), ("one", "two"), strict=True):
        index = f'[[tool.uv.index]]\nname = "ours"\nurl = "{(tmp_path / place).as_uri()}"\nexplicit = true\n'
        text = pyproject(benchmarks=["pytest", "gauge"]) + index + from_index("gauge", "ours")
        write(tree, **{"pyproject.toml": text})

    found = resolve(trees, dict.fromkeys(Side, Configuration()))

    assert found[Side.BASELINE].contested == ("gauge",)
    assert installed(found, trees, "gauge") == ["PLACE = 'one'\n", "PLACE = 'two'\n"]


def test_an_index_of_a_workspace_serves_the_project_below(shelf, trees, tmp_path):
    indexes = in_two_indexes(tmp_path, "gauge")
    projects = {side: tree / "project" for side, tree in trees.items()}
    for side, tree in trees.items():
        (tree / ".git").mkdir()
        write(tree, **{"pyproject.toml": '[tool.uv.workspace]\nmembers = ["project"]\n' + indexes})
        more = from_index("gauge", "two" if side is Side.CANDIDATE else "one")
        text = pyproject(dependencies=["gauge"], more='requires-python = ">=3.11"') + more
        write(projects[side], **{"backend.py": BACKEND, "src/subject/__init__.py": "", "pyproject.toml": text})

    found = resolve(projects, dict.fromkeys(Side, Configuration()))

    assert installed(found, projects, "gauge") == ["PLACE = 'one'\n", "PLACE = 'two'\n"]


@pytest.mark.parametrize("layout", some_always(["extras", "dependency", "group"], {"extras"}))
def test_a_measuring_package_may_need_what_an_explicit_index_serves(shelf, trees, tmp_path, layout):
    publish(tmp_path / "cpu", "torchlike", "2.0+cpu")
    publish(shelf, "torchlike", "2.0")
    publish(shelf, "torchlike", "2.1")
    publish(shelf, "gauge", "1.0", "torchlike")
    place = {"extras": ', extra = "cpu"', "group": ', group = "benchmarks"'}.get(layout, "")
    more = (
        '[project.optional-dependencies]\ncpu = ["torchlike>=2"]\n[tool.uv.sources]\n'
        f'torchlike = [{{ index = "cpu"{place} }}]\n'
        f'[[tool.uv.index]]\nname = "cpu"\nurl = "{(tmp_path / "cpu").as_uri()}"\nexplicit = true\n'
    )
    group = ["pytest", "gauge", *(["torchlike"] if layout == "group" else [])]
    dependencies = ["torchlike"] if layout != "extras" else []
    for side, tree in trees.items():
        text = pyproject(dependencies=dependencies, benchmarks=group, more=more)
        write(tree, **{"pyproject.toml": text, "src/subject/__init__.py": f"# {side}\n"})

    configuration = Configuration(extras=("cpu",) if layout == "extras" else ())
    found = resolve(trees, dict.fromkeys(Side, configuration))

    assert "torchlike==2.0+cpu" in found[Side.BASELINE].pins
    assert found[Side.BASELINE].pins == found[Side.CANDIDATE].pins
    assert found[Side.BASELINE].digest == found[Side.CANDIDATE].digest
    assert not found[Side.BASELINE].contested
    assert installed(found, trees, "torchlike") == ["VERSION = '2.0+cpu'\n"] * 2


def test_another_index_is_another_layer():
    pins = ("torch==2.8.0",)
    one = Resolution(side=Side.BASELINE, pins=pins, indexes=("https://one.example/simple",))

    assert one.digest != Resolution(side=Side.BASELINE, pins=pins).digest


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
    for tree, wanted in zip(trees.values(), ("tool==1.0", "tool==2.0"), strict=True):
        write(tree, **{"pyproject.toml": pyproject(dependencies=["ours", wanted]) + settings})

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


# --- first changes, and scripts ------------------------------------------------------------------------------------


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
