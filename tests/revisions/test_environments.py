import shutil
import zipfile

import pytest

from mainstay.project.configuration import Configuration
from mainstay.records.errors import EnvironmentBuildError
from mainstay.records.trials import Side
from mainstay.revisions.environments import THREAD_VARIABLES, import_roots, worker_variables
from mainstay.revisions.resolution import resolve
from mainstay.revisions.workspace import build_subjects, open_layers
from tests.revisions.small_packages import BACKEND, BUILD_SYSTEM, VERSION_OF_GIT, ask, built, publish, pyproject, write
from tests.slow_cases import some_always

# --- subjects ------------------------------------------------------------------------------------------------------


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


def test_a_subject_that_does_not_build_is_named_with_what_the_build_said(shelf, trees):
    write(trees[Side.BASELINE], **{"pyproject.toml": pyproject(more='description = "broken"')})

    with pytest.raises(EnvironmentBuildError) as caught:
        built(trees, Side.BASELINE)

    assert caught.value.side is Side.BASELINE
    assert "building the wheel failed for the baseline" in caught.value.fact
    assert "the compiler of this package is not installed" in caught.value.fact


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
        **dict.fromkeys(THREAD_VARIABLES, "2"),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }
