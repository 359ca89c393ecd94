"""Small projects of every layout, as mappings from paths to texts."""

PACKAGE = "VALUE = 1\n"

SUITE = """
import plank

def test_speed(benchmark):
    benchmark(plank.double, 2)
"""

TRAINING = '''
"""Train a toy."""

import argparse
import random


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    value = 0.9 + 0.001 * rng.random()
    print(f"epoch {arguments.epochs}: test accuracy {100 * value:.3f} %")


if __name__ == "__main__":
    main()
'''


def toml(backend, requires, more="", project='[project]\nname = "plank"\nversion = "1.0"\n'):
    return (
        f'# kept\n[build-system]\nrequires = ["{requires}"]  # kept too\nbuild-backend = "{backend}"\n\n{project}{more}'
    )


POETRY = '[tool.poetry]\nname = "plank"\nversion = "1.0"\ndescription = ""\nauthors = []\npackages = [{ include = "plank", from = "src" }]\n'

FAST = """
#include <Python.h>

static PyObject *value(PyObject *self, PyObject *none) { return PyLong_FromLong(1); }

static PyMethodDef methods[] = {{"value", value, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", NULL, -1, methods};

PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
"""

COMPILED = {"plank/__init__.py": "from plank._fast import value\n\nVALUE = value()\n", "plank/_fast.c": FAST}
"""A package with a compiled module."""

MESON = """
project('plank', 'c', version: '1.0')
py = import('python').find_installation(pure: false)
py.install_sources('plank/__init__.py', subdir: 'plank')
py.extension_module('_fast', 'plank/_fast.c', install: true, subdir: 'plank')
"""

CMAKE = """
cmake_minimum_required(VERSION 3.18)
project(plank LANGUAGES C)
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
python_add_library(_fast MODULE WITH_SOABI plank/_fast.c)
install(TARGETS _fast DESTINATION plank)
"""

LAYOUTS = {
    "flit": {
        "pyproject.toml": toml("flit_core.buildapi", "flit_core>=3.4", 'description = "d"\n'),
        "plank/__init__.py": PACKAGE,
    },
    "hatch": {"pyproject.toml": toml("hatchling.build", "hatchling"), "src/plank/__init__.py": PACKAGE},
    "setuptools": {"pyproject.toml": toml("setuptools.build_meta", "setuptools"), "src/plank/__init__.py": PACKAGE},
    "setuptools-scm": {
        "pyproject.toml": '[build-system]\nrequires = ["setuptools", "setuptools_scm"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "plank"\ndynamic = ["version"]\n[tool.setuptools_scm]\n',
        "src/plank/__init__.py": PACKAGE,
    },
    "setup.py": {
        "setup.py": 'from setuptools import setup\n\nsetup(name="plank", version="1.0", packages=["plank"])\n',
        "plank/__init__.py": PACKAGE,
        "tests/test_plank.py": "def test_it(): ...\n",
    },
    "poetry": {
        "pyproject.toml": toml("poetry.core.masonry.api", "poetry-core", project=POETRY),
        "src/plank/__init__.py": PACKAGE,
    },
    "pdm": {"pyproject.toml": toml("pdm.backend", "pdm-backend"), "src/plank/__init__.py": PACKAGE},
    "meson-python": {
        "pyproject.toml": toml("mesonpy", "meson-python>=0.16"),
        "meson.build": MESON,
        **COMPILED,
    },
    "scikit-build-core": {
        "pyproject.toml": toml("scikit_build_core.build", "scikit-build-core>=0.10"),
        "CMakeLists.txt": CMAKE,
        **COMPILED,
    },
    "scripts": {"plank.py": PACKAGE, "train.py": TRAINING, "README.md": "text\n"},
    "conda": {
        "environment.yml": "channels:\n  - conda-forge\ndependencies:\n  - python>=3.11\n  - iniconfig=2\n",
        "plank.py": f"import iniconfig\n\n{PACKAGE}",
    },
}
"""Files of projects that do not know mainstay."""

ASV = {
    "asv/asv.conf.json": '{\n  // "benchmark_dir": "old",\n  "version": 1,\n  "benchmark_dir": "../perf/suite", // ours\n}\n',
    "perf/suite/__init__.py": "",
    "perf/suite/sums.py": "from .common import SIZE\n\n\nclass Sums:\n    params = [SIZE, 20]\n\n    def time_sum(self, size):\n"
    "        sum(range(size))\n\n    def track_value(self, size):\n        return size\n",
    "perf/suite/common.py": "SIZE = 10\n",
}
"""A suite of asv, to be added to a project."""

WORKSPACE = {
    "pyproject.toml": '[tool.uv.workspace]\nmembers = ["pkgs/*"]\n',
    "pkgs/plank/pyproject.toml": toml(
        "hatchling.build",
        "hatchling",
        'dependencies = ["plank-core"]\n[tool.uv.sources]\nplank-core = { workspace = true }\n',
    ),
    "pkgs/plank/src/plank/__init__.py": "from plank_core import VALUE\n",
    "pkgs/core/pyproject.toml": toml("hatchling.build", "hatchling").replace('"plank"', '"plank-core"'),
    "pkgs/core/src/plank_core/__init__.py": PACKAGE,
}
"""A uv workspace, one of whose members depends on another."""
