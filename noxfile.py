#!/usr/bin/env -S uv run --script
# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2026.8", "uv>=0.8"]
# ///
"""Every task of this project, one session each.

``nox`` runs what a pull request needs and ends with a table, ``nox -l`` lists the rest, ``nox -s NAME -- ARGUMENTS``
passes arguments on. Environments are made by uv under the hashed files of ``constraints/`` and are kept in ``.nox``
for the next time.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import nox

sys.path.insert(0, str(Path(__file__).parent))
from scripts.session_table import Outcome, render_session_table

nox.needs_version = ">=2026.8"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
COVERAGE = Path(".coverage-data").resolve()
LOCKED_GROUPS = ("dev", *sorted(PROJECT["dependency-groups"].keys() - {"dev"}))  # most others keep to dev's versions
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
COPYLEFT = "AGPL;GPL-2.0;GPL-3.0;GNU General Public"  # what an MIT project cannot be shipped with
GROUP_TEST = nox.project.dependency_groups(PROJECT, "test")
MKDOCS = {"NO_MKDOCS_2_WARNING": "1"}  # the theme's advertisement, which is printed as a warning
PREPARE = ("python", "-m", "scripts.documentation.prepare")
EDIT_URI = "edit/main/docs/"  # where the repository has an address
PURE = ("stats", "gates", "reports")  # parts without files, processes or clocks
ACCELERATOR = "import torch; print(torch.accelerator.current_accelerator() if torch.accelerator.is_available() else '')"
EXTRAS = {
    "benchmarks": "reference",
    "cluster": "reference,cluster",
    "formats": "evaluation",
    "gpu": "reference",
    "peers": "reference",
    "privacy": "reference",
} | dict.fromkeys(
    ("dev", "docs", "notebook", "pages", "test", "typecheck", "zensical"),
    "reference,explain,tensorboard,export,evaluation",
)  # of the groups whose tools import the project
NUM_TEST_PROCESSES = max(2, min(os.cpu_count() or 1, 4))  # more than processors cost each other a fifth of their time
TESTED_WITH: dict[str, str | None] = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # tests of several threads leave the processors to the others
    "UV_CONCURRENT_INSTALLS": "1",  # as many interpreters would compile each of hundreds of installations of one file
    "PYTHONDONTWRITEBYTECODE": None,  # hundreds of interpreters are started, and each would compile what it imports
}

SELECTORS = ("-s", "-e", "-k", "-t", "-p", "--session", "--keywords", "--tag", "--python")
SELECTED = "NOXSESSION" in os.environ or any(argument.startswith(SELECTORS) for argument in sys.argv[1:])
expected: list[str] = []
outcomes: dict[str, Outcome] = {}


def task(*, python: list[str] | None = None, default: bool = True) -> Callable[[Callable[[nox.Session], None]], Any]:
    """Make a function a session whose outcome is a line of the final table."""

    def decorate(function: Callable[[nox.Session], None]) -> Any:
        @functools.wraps(function)
        def run(session: nox.Session) -> None:
            start, word = time.monotonic(), "failed"
            try:
                function(session)
                word = "passed"
            finally:
                outcomes.setdefault(session.name, Outcome(word=word, seconds=time.monotonic() - start))

        if default:
            name = function.__name__
            expected.extend([f"{name}-{version}" for version in python] if python else [name])
        return nox.session(python=python, default=default)(run)

    return decorate


@atexit.register
def print_session_table() -> None:
    """End a bare ``nox`` with what ran, how long, what was not run and why, and what to run again."""
    if outcomes and not SELECTED:
        print(f"\n{render_session_table(expected, outcomes)}", flush=True)


def not_run(session: nox.Session, reason: str) -> NoReturn:
    """Give the reason: as an error where the session was asked for by name, else as a line of the table."""
    if SELECTED:
        session.error(reason)
    outcomes[session.name] = Outcome(word="not run", reason=reason)
    session.skip(reason)


def constraints(group: str) -> tuple[str, str]:
    """Return the installer's option that holds it to the tested versions of a group."""
    return "--constraints", f"constraints/{group}.txt"


def install_project(session: nox.Session, group: str, *options: str) -> None:
    """Install this tree, the reference model's libraries and one dependency group, by options of the installer."""
    session.install(
        *options,
        *("--editable", f".[{EXTRAS[group]}]", *nox.project.dependency_groups(PROJECT, group), *constraints(group)),
    )


def install_tools(session: nox.Session, group: str) -> None:
    """Install one dependency group without the project."""
    session.install(*nox.project.dependency_groups(PROJECT, group), *constraints(group))


def npm_ci(session: nox.Session, folder: str) -> None:
    """Install what the lock file of a folder names, unless that was done already."""
    lock, done = Path(folder, "package-lock.json"), Path(folder, "node_modules", ".package-lock.json")
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    if not shutil.which("npm"):
        not_run(session, "there is no npm on the PATH; it comes with Node")
    session.run(
        *("npm", "--prefix", folder, "ci", "--silent", "--no-audit", "--no-fund"),
        external=True,
        env={"PUPPETEER_SKIP_DOWNLOAD": "1"},
    )


def run_with_bytecode(session: nox.Session, group: str, *command: str) -> None:
    """Run Python where imports are timed: all is compiled before, and PYTHONDONTWRITEBYTECODE is not obeyed."""
    install_project(session, group, "--compile-bytecode")
    session.run("python", *command, *session.posargs, env={"PYTHONDONTWRITEBYTECODE": None})


def run_tests(session: nox.Session, *command: str, env: dict[str, str | None] | None = None) -> None:
    """Run the whole suite, or what the arguments name, in up to four processes; the slowest tests are named at the end."""
    session.run(
        *(*command, "-n", str(NUM_TEST_PROCESSES), "--dist", "worksteal", "--durations=10", *session.posargs),
        env=TESTED_WITH | (env or {}),
    )


def run_mainstay(session: nox.Session, *command: str) -> None:
    """Run a command of the tool of this tree."""
    session.install("--editable", ".", *constraints("benchmarks"))
    session.run("mainstay", *command, *session.posargs)


def last_tag(session: nox.Session) -> str:
    """Return the newest version tag that this commit descends from, or nothing."""
    found = session.run(
        *("git", "describe", "--tags", "--abbrev=0", "--match", "v*"),
        external=True,
        silent=True,
        success_codes=[0, 128],
    )
    return found.strip() if isinstance(found, str) and found.startswith("v") else ""


@task()
def lint(session: nox.Session) -> None:
    """Check style, spelling, metadata, workflows, links, pins and the direction of imports."""
    install_tools(session, "lint")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure", *session.posargs)
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": "src"}, silent=True)
    session.run("python", "scripts/pins.py")
    session.run("python", "scripts/check_links.py")
    session.run("python", "scripts/documentation/translations.py")
    session.run("interrogate", "src")
    session.run("deptry", ".", silent=True)
    session.run("repo-review", ".", "--show", "errskip")


@task()
def typecheck(session: nox.Session) -> None:
    """Check the types, strictly."""
    install_project(session, "typecheck")
    session.run("mypy", *session.posargs)


@task(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests and the examples of the docstrings; a Python that is not installed is skipped."""
    install_project(session, "test")
    run_tests(session, "pytest")


@task()
def coverage(session: nox.Session) -> None:
    """Run the tests again, measured: at least 95 % of the toolkit is covered, branches included."""
    install_project(session, "test")
    shutil.rmtree(COVERAGE, ignore_errors=True)
    data: dict[str, str | None] = {"COVERAGE_FILE": str(COVERAGE / "data")}
    run_tests(session, "coverage", "run", "-m", "pytest", env=data)
    session.run("coverage", "combine", "--quiet", env=data)
    session.run("coverage", "report", "--include=src/mnist_reference/*", env=data)
    session.run("coverage", "report", "--include=src/mainstay/*", "--fail-under=95", env=data)


@task()
def pages(session: nox.Session) -> None:
    """Open the HTML report in a browser: nothing broken, nothing fetched, readable for everyone."""
    if not any(map(shutil.which, CHROMIUMS)):
        not_run(session, "there is no Chromium on the PATH")
    install_project(session, "pages")
    npm_ci(session, "tests/pages")
    session.run("pytest", "tests/pages/test_report_page.py", *session.posargs, env={"MAINSTAY_PAGES": "required"})


@task()
def docs(session: nox.Session) -> None:
    """Build the documentation site, strictly and without network; ``-- serve`` serves it live."""
    install_project(session, "docs")
    command, *options = session.posargs or ["build"]
    if command == "serve":
        session.run(*PREPARE, "--serve", *options, env=MKDOCS)
    else:
        session.run(*PREPARE)
        session.run("mkdocs", command, "--strict", *options, env=MKDOCS)


@task(default=False)
def report_speed(session: nox.Session) -> None:
    """Time the reports of the largest gate that is expected; at most 2 s for all forms together."""
    install_project(session, "pages")
    session.run("python", "scripts/report_speed.py")


@task()
def build(session: nox.Session) -> None:
    """Build wheel and sdist, check their contents, install the wheel into an empty environment and run it."""
    install_tools(session, "build")
    dist, from_tree = Path("dist").resolve(), Path(session.create_tmp(), "from-tree").resolve()
    for folder in (dist, from_tree):
        shutil.rmtree(folder, ignore_errors=True)
    session.run_install("uv", "build", "--quiet", "--out-dir", str(dist))
    session.run_install("uv", "build", "--quiet", "--wheel", "--out-dir", str(from_tree))
    wheel, sdist = next(dist.glob("*.whl")), next(dist.glob("*.tar.gz"))
    session.run("python", "scripts/compare_wheels.py", str(wheel), str(next(from_tree.glob("*.whl"))))
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    session.run("check-wheel-contents", str(wheel))
    empty = Path(session.create_tmp(), "empty").resolve()
    session.run_install("uv", "venv", "--quiet", "--clear", "--python", "python", str(empty))
    python = str(empty / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    session.run_install("uv", "pip", "install", "--quiet", "--python", python, str(wheel), *constraints("benchmarks"))
    with session.chdir(empty):
        session.run(python, "-m", "mainstay", "--version", external=True)
        session.run(python, "-m", "mainstay", "doctor", "--quick", external=True, success_codes=[0, 4])


@task()
def changelog(session: nox.Session) -> None:
    """Show what the next release will say; ``-- --compare-with REV`` asks for a fragment since that revision."""
    install_tools(session, "changelog")
    session.run(
        "towncrier", *(("check", *session.posargs) if session.posargs else ("build", "--draft", "--version", "next"))
    )


@task()
def gate(session: nox.Session) -> None:
    """Compare the working tree with its base: is the model worse, is the code slower?"""
    run_mainstay(session, "gate")


@task(default=False)
def accuracy(session: nox.Session) -> None:
    """Compare the accuracy of the working tree with that of its base, and nothing else."""
    run_mainstay(session, "gate", "--only", "accuracy")


@task(default=False)
def performance(session: nox.Session) -> None:
    """Compare time, memory and size of the working tree with those of its base, and nothing else."""
    run_mainstay(session, "gate", "--only", "performance")


@task(default=False)
def calibrate(session: nox.Session) -> None:
    """Gate the working tree against itself: how noisy is this machine, and which margins does it support?"""
    run_mainstay(session, "calibrate")


@task(default=False)
def selftest(session: nox.Session) -> None:
    """Gate a real repository again and again, unchanged and with planted changes; goes on where it was stopped."""
    install_project(session, "test")
    arguments = session.posargs or ["--profile", "hour", "--minutes", "60"]
    session.run("python", "-m", "experiments.selftest", *arguments, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def hostile(session: nox.Session) -> None:
    """Gate hundreds of ruined models that tamper with what judges them, and write ``docs/results``; goes on where it was stopped."""
    install_project(session, "test")
    session.run("python", "-m", "experiments.hostile", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def first_difference(session: nox.Session) -> None:
    """Plant differences in the reference model, name the first place of each, and write ``docs/results``; some minutes."""
    install_project(session, "test")
    session.run("python", "-m", "experiments.first_difference", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def adoption(session: nox.Session) -> None:
    """Put other people's projects under a gate by one command, and write ``docs/results``; goes on where it was stopped."""
    install_project(session, "test")
    session.run("python", "-m", "experiments.adoption", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def gpu_results(session: nox.Session) -> None:
    """Ask one GPU everything that the docs say of GPUs, and write ``docs/results``; ten minutes at most."""
    install_project(session, "gpu")
    session.run("python", "-m", "experiments.gpu", *session.posargs)


@task(default=False)
def examples(session: nox.Session) -> None:
    """Gate the projects of ``examples/`` across new versions of their models, and write ``docs/results``; goes on where it was stopped."""
    install_project(session, "test")
    session.run("python", "-m", "experiments.examples", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def compression_verdicts(session: nox.Session) -> None:
    """Judge compressed models image by image against their parents, and write ``docs/results``; takes minutes."""
    install_project(session, "test")
    session.run("python", "-m", "experiments.compression_verdicts", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def samples(session: nox.Session) -> None:
    """Gate real changes, one for each verdict and one that only times, and write ``docs/samples``; twenty minutes."""
    install_project(session, "test")
    session.run("python", "-m", "experiments.samples", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def comparison(session: nox.Session) -> None:
    """Put asv, pytest-benchmark and pytest-codspeed before the same changes as the gate; goes on where it was stopped."""
    install_project(session, "peers")
    arguments = session.posargs or ["--minutes", "60"]
    session.run("python", "-m", "experiments.comparison", *arguments, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def slow(session: nox.Session) -> None:
    """Run the tests that take longest: faults on digits, tutorials from top to bottom, further cases of whole gates."""
    install_project(session, "test")
    run_tests(session, "pytest", "--slow", "-m", "slow")


@task(default=False)
def docs_pages(session: nox.Session) -> None:
    """Open every page of the site in a browser: links, requests, accessibility, formulas, Lighthouse, search."""
    if not any(map(shutil.which, CHROMIUMS)):
        not_run(session, "there is no Chromium on the PATH")
    install_project(session, "pages")
    session.install(*nox.project.dependency_groups(PROJECT, "docs"), *constraints("docs"))
    npm_ci(session, "tests/pages")
    npm_ci(session, "scripts/documentation")
    site = Path(session.create_tmp(), "site").resolve()
    published = {"REPOSITORY_URL": "https://example.org/mainstay/", "EDIT_URI": EDIT_URI}
    session.run(*PREPARE, env=published)
    session.run("mkdocs", "build", "--strict", "--site-dir", str(site), env=MKDOCS | published)
    session.run(
        *("pytest", "tests/pages/test_site.py", *session.posargs),
        env={"MAINSTAY_PAGES": "required", "MAINSTAY_SITE": str(site)},
    )


@task(default=False)
def notebook(session: nox.Session) -> None:
    """Run the notebook of the lesson from top to bottom and write its page with what came of it."""
    install_project(session, "notebook")
    session.run("python", "-m", "scripts.documentation.notebook", env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def zensical(session: nox.Session) -> None:
    """Build the site by the successor of its generator and follow every link; it may fail, see the decisions."""
    install_project(session, "zensical")
    session.run(*PREPARE)
    session.run("zensical", "build", "--config-file", "mkdocs.yml")
    session.run("pytest", "tests/pages/test_site.py", "-k", "link_and_anchor", env={"MAINSTAY_SITE": "site"})


@task(default=False)
def docs_publish(session: nox.Session) -> None:
    """Publish the site: ``-- VERSION [ALIAS]`` builds it onto the branch gh-pages and pushes that."""
    if not session.posargs:
        session.error("name the version: nox -s docs_publish -- 0.2.0 latest")
    install_project(session, "docs")
    published = MKDOCS | {"EDIT_URI": EDIT_URI, "VERSION_PROVIDER": "mike"}
    session.run(*PREPARE)
    session.run("mike", "deploy", "--push", "--update-aliases", *session.posargs, env=published)
    versions = str(session.run("mike", "list", silent=True, env=MKDOCS))
    session.run("mike", "set-default", "--push", "latest" if "latest" in versions else "dev", env=MKDOCS)


@task(default=False)
def diagrams(session: nox.Session) -> None:
    """Draw the Mermaid diagrams of the site that were changed; their SVG is committed with the page."""
    if not any(map(shutil.which, CHROMIUMS)):
        not_run(session, "there is no Chromium on the PATH")
    npm_ci(session, "scripts/documentation")
    session.run("python", "scripts/documentation/diagrams.py")


@task(default=False)
def pure(session: nox.Session) -> None:
    """Run the tests of what is pure Python, which holds on every system, Windows included."""
    session.install("--editable", ".", *nox.project.dependency_groups(PROJECT, "test"), *constraints("test"))
    session.run("pytest", *(f"{tree}/{part}" for tree in ("tests", "src/mainstay") for part in PURE), *session.posargs)


@task(default=False)
def calibration(session: nox.Session) -> None:
    """Check the stated error rates by simulation; takes minutes."""
    install_project(session, "test")
    session.run("pytest", "--slow", "tests/experiments", *session.posargs)


@task(default=False)
def history(session: nox.Session) -> None:
    """Simulate years of gates: false alarms, delays, change points, searches, other detectors; writes ``docs/results``; takes hours."""
    install_project(session, "test")
    arguments = ("--output", "docs/results/history.json", *session.posargs)
    session.run("python", "-m", "experiments.history", *arguments, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def history_scale(session: nox.Session) -> None:
    """Time a history of 10,000 runs beside ``asv publish`` of the same, and write ``docs/results``; takes minutes."""
    install_project(session, "test")
    arguments = ("--output", "docs/results/history_scale.json", *session.posargs)
    session.run("python", "-m", "experiments.history_scale", *arguments, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def cluster(session: nox.Session) -> None:
    """Gate over real clusters of Dask on this machine, some of whose workers are killed; takes minutes."""
    install_project(session, "cluster")
    places = session.posargs or ["tests/commands/test_cluster.py", "tests/end_to_end/test_cluster.py"]
    session.run("pytest", *places, env=TESTED_WITH)


@task(default=False)
def cluster_results(session: nox.Session) -> None:
    """Measure what a gate over a cluster costs, and 10,000 trials on 1,000 workers; writes ``docs/results``; takes minutes."""
    install_project(session, "cluster")
    arguments = (*session.posargs, "--output", "docs/results/cluster.json")
    session.run("python", "-m", "experiments.cluster", *arguments, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def bisections(session: nox.Session) -> None:
    """Search real repositories for planted commits, beside ``git bisect run``; hours, and it goes on where it was stopped."""
    install_project(session, "test")
    arguments = ("--output", "docs/results/bisections.json", *session.posargs)
    session.run(
        "python", "-m", "experiments.bisections", *arguments, env={"OMP_NUM_THREADS": "1"}, success_codes=[0, 75]
    )


@task(default=False)
def own_history(session: nox.Session) -> None:
    """Gate the last sixty commits that touch the product and keep the runs; hours, and it goes on where it was stopped."""
    install_project(session, "test")
    session.run("python", "-m", "experiments.own_history", *session.posargs, success_codes=[0, 75])


@task(default=False)
def formats(session: nox.Session) -> None:
    """Run lm-evaluation-harness and Inspect with their dummy models and read every word of what they write."""
    install_project(session, "formats")
    session.run("pytest", "tests/formats", *session.posargs, env=TESTED_WITH | {"MAINSTAY_FORMATS": "required"})


@task(default=False)
def evaluation(session: nox.Session) -> None:
    """Simulate evaluations whose truth is known, and write ``docs/results``; takes twenty minutes."""
    install_project(session, "test")
    arguments = ("--output", "docs/results/evaluation.json", *session.posargs)
    session.run("python", "-m", "experiments.evaluation", *arguments, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def compression(session: nox.Session) -> None:
    """Measure transfer learning and compression, and write ``docs/results``; takes three minutes."""
    install_project(session, "test")
    session.run("python", "-m", "experiments.compression", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def ablations(session: nox.Session) -> None:
    """Measure what each remedy against overfitting brings, on the real MNIST; takes four minutes."""
    install_project(session, "test")
    session.run("python", "-m", "experiments.ablations", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def privacy(session: nox.Session) -> None:
    """Measure what a trained model tells about its training data, with and without DP-SGD; goes on where it was stopped."""
    install_project(session, "privacy")
    session.run("python", "-m", "experiments.privacy", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def recipe_accuracy(session: nox.Session) -> None:
    """Measure what the convolutional recipe reaches on the real MNIST, five seeds; takes a quarter of an hour."""
    install_project(session, "test")
    arguments = session.posargs or ["--recipe", "cnn_99_5"]
    session.run("python", "-m", "experiments.recipe_accuracy", *arguments, env={"OMP_NUM_THREADS": "1"})


@task(default=False)
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that the metadata allows."""
    session.install("--resolution", "lowest-direct", "--editable", f".[{EXTRAS['test']}]", *GROUP_TEST)
    run_tests(session, "pytest", "--import-mode=importlib", *(() if session.posargs else ("tests",)))


@task(default=False)
def newest(session: nox.Session) -> None:
    """Run the tests with the newest versions of everything, constraints left aside, and with new examples of properties."""
    session.install("--upgrade", "--editable", f".[{EXTRAS['test']}]", *GROUP_TEST)
    run_tests(session, "pytest", "--hypothesis-profile", "new examples")


@task(default=False)
def nightly(session: nox.Session) -> None:
    """Run the tests of the reference model with PyTorch's nightly build, from the index in ``TORCH_NIGHTLY_INDEX``."""
    index = os.environ.get("TORCH_NIGHTLY_INDEX")
    if not index:
        not_run(session, "TORCH_NIGHTLY_INDEX does not name the index of PyTorch's nightly builds")
    install_project(session, "test")
    choice = ("--upgrade", "--prerelease=allow", "--index-strategy=unsafe-best-match", f"--index={index}")
    session.install(*choice, "torch", "torchvision")
    session.run("python", "-c", "import torch; assert 'dev' in torch.__version__, torch.__version__")
    session.run("pytest", "tests/mnist_reference", *session.posargs, env=TESTED_WITH)


@task(default=False)
def gpu(session: nox.Session) -> None:
    """Run the tests and the gate on an accelerator."""
    install_project(session, "test")
    session.install(*constraints("benchmarks"), "--editable", ".")
    found = session.run("python", "-c", ACCELERATOR, silent=True)
    if not (isinstance(found, str) and found.strip()):
        not_run(session, "PyTorch finds no accelerator on this machine")
    session.log(f"accelerator: {str(found).strip()}")
    session.run("pytest", "tests/gpu", *session.posargs)
    session.run("mainstay", "gate")


@task(default=False)
def installed(session: nox.Session) -> None:
    """Run the tests outside the repository, against the wheel."""
    session.install("--reinstall-package", "mainstay", f".[{EXTRAS['test']}]", *constraints("test"))
    session.install(*GROUP_TEST, *constraints("test"))
    with tempfile.TemporaryDirectory() as outside:
        shutil.copytree("tests", Path(outside, "tests"))
        shutil.copy("pyproject.toml", outside)
        with session.chdir(outside):
            run_tests(session, "pytest", "tests")


@task(default=False)
def audit(session: nox.Session) -> None:
    """Look up known vulnerabilities and check the licences of what is installed with the project."""
    session.install("--editable", ".[reference]", *constraints("benchmarks"))
    session.install(*nox.project.dependency_groups(PROJECT, "audit"), *constraints("audit"))
    session.run("pip-licenses", "--from=mixed", "--partial-match", f"--fail-on={COPYLEFT}", silent=True)
    report = Path(session.create_tmp(), "audit.json")
    report.unlink(missing_ok=True)
    session.run(
        *("pip-audit", "--disable-pip", "--require-hashes", "--requirement", "constraints/benchmarks.txt"),
        *("--format", "json", "--output", str(report)),
        success_codes=[0, 1],
    )
    session.run("python", "scripts/audit.py", str(report))


@task(default=False)
def bom(session: nox.Session) -> None:
    """Write the bills of materials into ``dist-bom``: of the locked dependencies, and of the reference model."""
    install_tools(session, "bom")
    folder = Path("dist-bom").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    version = PROJECT["project"]["version"]
    session.run(
        *("cyclonedx-py", "requirements", "--pyproject", "pyproject.toml", "--mc-type", "library", "--validate"),
        *("--output-reproducible", "--output-file", str(folder / f"mainstay-{version}.cdx.json")),
        "constraints/benchmarks.txt",
        env={"PYTHONWARNINGS": "ignore"},  # that a lock does not say what depends on what
    )
    session.run("python", "scripts/model_bom.py", str(folder / f"mnist_reference-{version}.ml.cdx.json"))


@task(default=False)
def api(session: nox.Session) -> None:
    """Compare the public modules with the last release; a break needs a fragment ``changes/*.breaking.md``."""
    tag = last_tag(session)
    if not tag:
        session.skip("there is no release to compare with yet: no tag v*")
    install_tools(session, "api")
    announced = any(Path("changes").glob("*.breaking*.md"))
    session.run("python", "scripts/public_api.py", tag, success_codes=[0, 1] if announced else [0])


@task(default=False)
def template(session: nox.Session) -> None:
    """Render the scaffold for each kind of project, update it from the last commit's, and run its own sessions; takes minutes."""
    session.install("copier", "nox", "uv", *constraints("test"))
    git = functools.partial(session.run, "git", "-c", "user.name=A", "-c", "user.email=a@example.org", external=True)
    root, begin = Path.cwd(), "HEAD~1"
    if "copier.yml" not in str(git("ls-tree", "--name-only", begin, silent=True)).split():
        begin = "HEAD"  # the commit that adds the template
    copier = ("copier", "--quiet", "--defaults", "--vcs-ref")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("library", "application", "monorepo"):
            project = Path(folder, kind)
            answers = ("--data", "name=deep-plankton", "--data", f"kind={kind}", "--data", "gpu=true")
            session.run(copier[0], "copy", *copier[1:], begin, *answers, str(root), str(project))
            with session.chdir(project):
                git("init", "--quiet", "--initial-branch", "main")
                git("add", "--all")
                git("commit", "--quiet", "--message", "Begin")
                session.run(copier[0], "update", *copier[1:], "HEAD", "--conflict", "rej")
                if conflicts := [*project.rglob("*.rej")]:
                    session.error(f"the update conflicts with what nobody edited: {conflicts}")
                git("add", "--all")
                git("commit", "--quiet", "--allow-empty", "--message", "Take the later scaffold")
                env = {"MAINSTAY": str(root)}
                session.run(
                    "nox", "-s", "lint", f"tests-{PYTHONS[0]}", "typecheck", "docs", "build", "changelog", env=env
                )
                session.run("nox", "-s", "gate", "--", "--only", "accuracy", env=env)


@task(default=False)
def pins(session: nox.Session) -> None:
    """Check that hooks, workflows and constraints name the same versions; ``-- --fix`` mends hooks and workflows."""
    session.run("python", "scripts/pins.py", *session.posargs)


@task(default=False)
def lock(session: nox.Session) -> None:
    """Resolve ``constraints/`` anew after a change of dependencies; ``-- --upgrade`` takes the newest versions."""
    for group in LOCKED_GROUPS:
        session.run_install(
            *("uv", "pip", "compile", "--universal", "--python-version", PYTHONS[0]),
            *("--generate-hashes", "--no-header", "--no-annotate", "--quiet"),
            *(
                () if group in {"dev", "formats"} else constraints("dev")
            ),  # what reads other tools' files follows these tools
            *(("pyproject.toml",) if group in EXTRAS else ()),
            *(f"--extra={extra}" for extra in EXTRAS.get(group, "").split(",") if extra),
            *("--group", f"pyproject.toml:{group}"),
            *("--output-file", f"constraints/{group}.txt"),
            *session.posargs,
        )


@task(default=False)
def release(session: nox.Session) -> None:
    """Rehearse a release in a temporary clone: ``-- patch|minor|major|first``; with ``--commit``, make its commit here."""
    session.install(
        *nox.project.dependency_groups(PROJECT, "build", "changelog"), *constraints("build"), *constraints("changelog")
    )
    session.run("python", "scripts/release.py", *session.posargs)


@task(default=False)
def walk(session: nox.Session) -> None:
    """Follow the README and the first contribution of CONTRIBUTING.md to the letter, in a fresh clone and empty home."""
    session.run("python", "scripts/walk.py", *session.posargs)


@task(default=False)
def peers(session: nox.Session) -> None:
    """Time the reference model beside every other way to train it, in turns; ``-- --help`` lists the choices."""
    run_with_bytecode(session, "peers", "-m", "experiments.peers")


@task(default=False)
def gate_time(session: nox.Session) -> None:
    """Measure where the seconds of a gate go, and write ``docs/results``; takes a quarter of an hour on an idle machine."""
    run_with_bytecode(session, "test", "-m", "experiments.gate_time")


if __name__ == "__main__":
    nox.main()
