"""Small packages, an index that serves them, and what a gate does with them: resolve, install and build."""

import hashlib
import subprocess
import textwrap
import zipfile
from pathlib import Path

from mainstay.project.configuration import Configuration
from mainstay.records.trials import Side
from mainstay.revisions.environments import build_subject
from mainstay.revisions.layers import Layer
from mainstay.revisions.resolution import Resolution, resolve

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

VERSION_OF_GIT = "3.1"


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


def pyproject(*, dependencies=(), benchmarks=("pytest",), more=""):
    return (
        f'{BUILD_SYSTEM}\n[project]\nname = "subject"\nversion = "1.0"\n'
        f"dependencies = {list(dependencies)}\n{more}\n[dependency-groups]\nbenchmarks = {list(benchmarks)}\n"
    )


def resolved(trees, **configuration):
    """The pins of baseline and candidate."""
    both = resolve(trees, dict.fromkeys(Side, Configuration(**configuration)))
    return both[Side.BASELINE].pins, both[Side.CANDIDATE].pins


def write_more(folder, **more):
    """Write files of a revision; what is meant for its pyproject.toml is added there."""
    write(folder, **{name: text for name, text in more.items() if name != "pyproject.toml"})
    write(folder, **{"pyproject.toml": pyproject(dependencies=["tool"]) + more.get("pyproject.toml", "")})


def ensure_dependencies(resolution, tree, **options):
    """Use a layer as a gate does, and leave it."""
    with Layer(resolution) as layer:
        return layer.ensure(tree, **options)


def tool(version="1.0", side=Side.BASELINE):
    """A resolution of one small package."""
    return Resolution(side=side, pins=(f"tool=={version}",))


def built(trees, side=Side.CANDIDATE, place="environment", version=VERSION_OF_GIT):
    resolution = resolve(trees, dict.fromkeys(Side, Configuration()))[side]
    dependencies = ensure_dependencies(resolution, trees[side])
    return build_subject(side, trees[side], resolution, trees[side].parent / place, dependencies, version=version)


def ask(subject, code):
    """What the subject's interpreter prints, started as a worker is."""
    command = [str(subject.python), "-P", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=subject.site_packages).stdout.strip()
