"""Environments of the two revisions, built by uv in two layers.

*Dependencies* are resolved for both revisions at the same time (:mod:`mainstay.revisions.resolution`) and cached by the
hash of the resolved set (:mod:`mainstay.revisions.layers`). The *subject* is each revision's own wheel, built from its
worktree and installed beside the dependencies, never cached and never editable.

- :func:`build_subject`: the layer of one revision, as a :class:`SubjectEnvironment`.
- :func:`install`, :func:`python_of`, :func:`site_packages_of`: virtual environments.
- :func:`import_roots`, :func:`installed_path`: what a wheel installs, and where.
- :func:`worker_variables`, :func:`is_inherited`: the environment variables of every worker.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mainstay.records.errors import EnvironmentBuildError
from mainstay.records.runs import Environment
from mainstay.records.trials import Side
from mainstay.revisions.project_files import is_packaged, read_project, script_names
from mainstay.revisions.resolution import Resolution
from mainstay.revisions.startup import startup_code
from mainstay.revisions.uv_commands import run_uv
from mainstay.runner.confinement import can_confine, confined_command
from mainstay.workers.descendants import run_guarded

PASSED_VARIABLES = frozenset(
    {"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "CUDA_PATH", "SSL_CERT_FILE"}
)
"""Variables that workers inherit from the user."""

PASSED_PREFIXES = ("NVIDIA_", "HSA_", "HIP_", "ROCR_")
"""Prefixes of further variables that workers inherit."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Variables that set the number of threads of numerical libraries."""

PRETENDED_VERSIONS = (
    "SETUPTOOLS_SCM_PRETEND_VERSION",  # hatch-vcs reads it, too
    "PDM_BUILD_SCM_VERSION",
    "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "UV_DYNAMIC_VERSIONING_BYPASS",
)
"""Variables from which build backends take a version instead of taking it from git."""

DEPENDENCIES_FILE = "mainstay-dependencies.pth"
"""File in the subject's ``site-packages`` that leads to the layer of its dependencies."""

SCRIPT_PACKAGING = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "scripts-of-the-revision"
version = "0"

[tool.hatch.build.targets.wheel]
only-include = {included}
"""
"""How the modules of a revision without packaging are installed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectEnvironment:
    """Environment in which a revision's wheel is installed.

    Attributes:
        python: Interpreter of the environment.
        site_packages: Folder in which the wheel is installed; every module of the subject must come from there.
        roots: Import roots of the wheel, such as ``mnist_reference`` or ``namespace.package``.
        wheels: The revision's own wheel file, and those of the folders of its tree that it depends on.
        record: Record of the environment for the run document.
        startup: Code of its wheels that runs in every worker, as found by
            :func:`~mainstay.revisions.startup.startup_code`.
    """

    python: Path
    site_packages: Path
    roots: tuple[str, ...]
    wheels: tuple[Path, ...]
    record: Environment
    startup: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Path:
        """The virtual environment that holds it."""
        return self.python.parents[1]


def python_of(environment: Path) -> Path:
    """Interpreter of a virtual environment."""
    return environment / "bin" / "python"


def site_packages_of(environment: Path) -> Path:
    """``site-packages`` of a virtual environment."""
    return next(environment.glob("lib/python*/site-packages"))


def install(place: Path, wanted: Sequence[str], *, side: Side | None, doing: str, cwd: Path | None = None) -> None:
    """Install what is named, and nothing that it depends on, into a virtual environment, as compiled copies.

    Args:
        place: The virtual environment.
        wanted: Packages, or options of ``uv pip install`` that name them.
        side: The revision that is blamed if uv fails; ``None`` if no failure can be blamed on one.
        doing: What is being done, for messages.
        cwd: Working folder of uv.

    Raises:
        EnvironmentBuildError: If uv fails.
    """
    command = ["pip", "install", "--quiet", "--python", str(python_of(place)), "--no-deps", "--compile-bytecode"]
    run_uv([*command, "--link-mode", "copy", *wanted], side=side, doing=doing, cwd=cwd)


def build_subject(
    side: Side,
    tree: Path,
    resolution: Resolution,
    place: Path,
    dependencies: Path,
    *,
    version: str,
    built: Sequence[Path] = (),
) -> SubjectEnvironment:
    """Build a revision's wheel and install it over its dependencies.

    Args:
        side: Baseline or candidate.
        tree: The revision's worktree.
        resolution: Dependencies of the revision.
        place: Folder of the environment; the paths of both sides have equal length.
        dependencies: ``site-packages`` of the layer that holds the dependencies.
        version: Version of the wheel if it would be taken from git.
        built: Wheels of the same content, which are installed instead of new ones.

    Raises:
        EnvironmentBuildError: If the wheel cannot be built or installed, or its modules are found elsewhere.
    """
    wheels = list(built) or _build_wheels(side, tree, resolution.local, place.with_name("wheel"), version)
    run_uv(["venv", "--quiet", "--python", sys.executable, str(place)], doing="making an environment")
    alone = ["--no-cache", "--no-config"]  # the folder in which a gate is started may have settings
    install(place, [*alone, *map(str, wheels)], side=side, doing="installing the wheel")
    site_packages = site_packages_of(place)
    startup = startup_code(place, site_packages, dependencies)
    (site_packages / DEPENDENCIES_FILE).write_text(
        f"import site; site.addsitedir({str(dependencies)!r})\n", encoding="utf-8"
    )
    roots = tuple(sorted({root for wheel in wheels for root in import_roots(wheel)}))
    _check_roots(side, python_of(place), site_packages, roots)
    return SubjectEnvironment(
        python=python_of(place),
        site_packages=site_packages,
        roots=roots,
        wheels=tuple(wheels),
        record=Environment(
            side=side,
            python=platform.python_version(),
            packages=resolution.packages,
            packages_digest=resolution.digest,
            wheel_digest=_digest_of_wheels(wheels),
        ),
        startup=startup,
    )


def _build_wheels(side: Side, tree: Path, local: Iterable[str], output: Path, version: str) -> list[Path]:
    """Build the revision's wheel and those of the folders in its tree that it depends on; copy the wheels that lie there.

    A version that comes from git differs between commits, so both revisions are built with the same version. A subject
    that reads its version then behaves the same in both, and equal code gives equal wheels.
    """
    output.mkdir(parents=True, exist_ok=True)
    if is_packaged(tree, side):
        source = tree
    else:
        source = _packaged_scripts(tree, read_project(tree, side), output.with_name("scripts"))
    for place in (source, *(tree / name for name in local)):
        if place.is_file() and place.suffix == ".whl":
            shutil.copy(place, output)
            continue
        build = partial(
            run_uv,
            ["build", "--wheel", "--python", sys.executable, "--out-dir", str(output), str(place)],
            side=side,
            doing="building the wheel",
            cwd=tree,
        )
        if "version" in read_project(place, side).get("project", {}):
            build()
            continue
        try:
            build(variables=dict.fromkeys(PRETENDED_VERSIONS, version))
        except EnvironmentBuildError:  # a build tool that is itself built from source would take this version, too
            build()
    return sorted(output.glob("*.whl"))


def _packaged_scripts(tree: Path, project: Mapping[str, Any], folder: Path) -> Path:
    """Copy the modules of a revision without packaging to a folder that can be built."""
    folder.mkdir()
    names = script_names(tree, project)
    for name in names:
        if (tree / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(tree / name, folder / PurePosixPath(name).name, ignore=unwanted, symlinks=True)
        else:
            shutil.copy(tree / f"{name}.py", folder, follow_symlinks=False)
    included = json.dumps(sorted(place.name for place in folder.iterdir()))
    (folder / "pyproject.toml").write_text(SCRIPT_PACKAGING.format(included=included), encoding="utf-8")
    return folder


def _digest_of_wheels(wheels: Iterable[Path]) -> str:
    """SHA-256 of a wheel; for several wheels, SHA-256 of their digests in the order of their names."""
    digests = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def import_roots(wheel: Path) -> tuple[str, ...]:
    """Import roots of a wheel: its modules and packages, or the packages inside a namespace.

    Args:
        wheel: The wheel file.
    """
    with zipfile.ZipFile(wheel) as archive:
        files = [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
    paths = [path for path in map(installed_path, files) if path is not None and "." not in "".join(path.parent.parts)]
    modules = [path for path in paths if path.suffix in {".py", ".so", ".pyd"}]
    packages = {path.parent for path in modules if _module_name(path) == "__init__"}
    roots = set()
    for module in modules:
        parents = [parent for parent in reversed(module.parents) if parent in packages]
        roots.add(".".join(parents[0].parts if parents else (*module.parent.parts, _module_name(module))))
    return tuple(sorted(roots))


def _module_name(path: PurePosixPath) -> str:
    """Name of a module's file without suffixes such as ``.cpython-311-x86_64-linux-gnu.so``."""
    return path.name.partition(".")[0]


DATA_OF_WHEEL = re.compile(r".+-.+\.data")
"""Name of the folder of a wheel whose subfolders are installed in places of their own: it holds a name and a version."""


def installed_path(path: PurePosixPath) -> PurePosixPath | None:
    """Path in ``site-packages`` at which a file of a wheel is installed; ``None`` for what is installed elsewhere, as scripts are.

    Args:
        path: Path in the wheel.

    Example:
        >>> str(installed_path(PurePosixPath("subject-1.0.data/purelib/subject/model.py")))
        'subject/model.py'
        >>> str(installed_path(PurePosixPath("words.data/purelib/model.py")))
        'words.data/purelib/model.py'
    """
    if len(path.parts) < 2 or not DATA_OF_WHEEL.fullmatch(path.parts[0]):
        return path
    if path.parts[1] in {"purelib", "platlib"}:
        return PurePosixPath(*path.parts[2:])
    return None


CHECK_SECONDS = 120.0
"""Seconds that the interpreter of an environment may take to start and look for modules."""

CHECK_ROOTS = """
import importlib.util, json, sys
found = {}
for root in json.loads(sys.argv[1]):
    spec = importlib.util.find_spec(root)
    found[root] = None if spec is None else spec.origin or list(spec.submodule_search_locations)[0]
print(json.dumps(found))
"""


def _check_roots(side: Side, python: Path, site_packages: Path, roots: Sequence[str]) -> None:
    """Refuse an environment whose interpreter finds the package elsewhere or not at all."""
    if not roots:
        raise EnvironmentBuildError(
            f"the wheel of the {side} holds no module",
            side=side,
            looked_in="the wheel",
            next_step="tell the build backend which packages belong to the wheel, and look with: uv build --wheel",
        )
    command = [str(python), "-P", "-c", CHECK_ROOTS, json.dumps(roots)]
    environ = {"PATH": os.environ.get("PATH", "")}
    if can_confine():  # code in a wheel may run when the interpreter starts
        command = confined_command((), command)
    try:
        done = run_guarded(command, env=environ, cwd=site_packages.parent, timeout=CHECK_SECONDS)
        found = json.loads(done.stdout) if done.returncode == 0 else dict.fromkeys(roots)
    except (subprocess.TimeoutExpired, ValueError):  # code in a .pth file runs first
        found = dict.fromkeys(roots)
    for root, origin in found.items():
        if origin is None or not Path(origin).resolve().is_relative_to(site_packages.resolve()):
            raise EnvironmentBuildError(
                f"{root} of the {side} is imported from {origin or 'nowhere'}, not from its own wheel",
                side=side,
                looked_in="the environment of the revision",
                next_step="check what the wheel holds, and that no dependency ships the same package",
            )


def is_inherited(name: str) -> bool:
    """Whether workers inherit a variable from the user: it says where libraries and devices are found.

    Example:
        >>> is_inherited("CUDA_VISIBLE_DEVICES"), is_inherited("NVIDIA_TF32_OVERRIDE"), is_inherited("CUDA_CACHE_PATH")
        (True, True, False)
    """
    return name in PASSED_VARIABLES or name.startswith(PASSED_PREFIXES)


def worker_variables(*, threads: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables of workers except HOME and TMPDIR: fixed if they affect results, otherwise inherited.

    Args:
        threads: Threads of the numerical libraries.
        environ: The user's environment.

    Example:
        >>> worker_variables(threads=1, environ={"PATH": "/bin", "SECRET": "x"})["OMP_NUM_THREADS"]
        '1'
    """
    return {
        **{name: value for name, value in environ.items() if is_inherited(name)},
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }
