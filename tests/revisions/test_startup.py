"""Code that runs in every worker of a revision though no workload imports it."""

import pytest

from mainstay.revisions.startup import startup_code


@pytest.fixture
def places(tmp_path):
    """An environment, its ``site-packages`` and those of its dependencies."""
    environment, dependencies = tmp_path / "environment", tmp_path / "layer"
    site_packages = environment / "lib" / "python3" / "site-packages"
    for folder in (site_packages / "subject", environment / "bin", dependencies / "pluggy"):
        folder.mkdir(parents=True)
    for file in (
        environment / "pyvenv.cfg",
        environment / "bin" / "python",
        site_packages / "subject" / "__init__.py",
        dependencies / "pluggy" / "__init__.py",
        dependencies / "iniconfig.py",
    ):
        file.write_text("")
    return environment, site_packages, dependencies


def changes_of(places, write):
    """What is told of an environment after a change that was not told before."""
    before = startup_code(*places)
    write(*places)
    after = startup_code(*places)
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def with_file(name, text="# code"):
    def write(environment, site_packages, dependencies):
        place = environment / name.removeprefix("/") if name.startswith("/") else site_packages / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)

    return write


PLUGIN = "[console_scripts]\nmain = a:main\n[pytest11]\nHelp = subject.helping\n"


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        pytest.param(with_file("helping.pth"), "helping.pth", id="pth"),
        pytest.param(with_file("sitecustomize.py"), "sitecustomize.py", id="sitecustomize"),
        pytest.param(with_file("usercustomize/__init__.py"), "usercustomize/__init__.py", id="package"),
        pytest.param(
            with_file("sitecustomize/__init__.abi3.so"), "sitecustomize/__init__.abi3.so", id="package-of-compiled-code"
        ),
        pytest.param(with_file("_virtualenv.py"), "_virtualenv.py", id="of-the-environment"),
        pytest.param(with_file("a-1.dist-info/entry_points.txt", PLUGIN), "the plugin Help of pytest", id="plugin"),
        pytest.param(with_file("pluggy.py"), "pluggy before the dependency of that name", id="before-a-package"),
        pytest.param(with_file("iniconfig/b.py"), "iniconfig before the dependency of that name", id="before-a-module"),
        pytest.param(with_file("/pyvenv.cfg"), "pyvenv.cfg", id="settings-of-the-environment"),
    ],
)
def test_what_every_worker_runs_is_told(places, write, expected):
    assert changes_of(places, write) == {expected}


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(with_file("subject/helping.py"), id="module-of-the-subject"),
        pytest.param(with_file("a-1.dist-info/entry_points.txt", "[console_scripts]\nmain = a:main\n"), id="script"),
    ],
)
def test_what_only_an_import_runs_is_not(places, write):
    assert changes_of(places, write) == set()


def test_what_uv_puts_into_every_environment_stands_before_no_dependency(places):
    _, _, dependencies = places
    (dependencies / "_virtualenv.py").write_text("")

    assert changes_of(places, with_file("_virtualenv.py")) == {"_virtualenv.py"}


def test_another_interpreter_is_told(places):
    def link(environment, site_packages, dependencies):
        (environment / "bin" / "python").unlink()
        (environment / "bin" / "python").symlink_to("/bin/sh")

    assert changes_of(places, link) == {"bin/python"}
