"""A small subject package without torch, in a real git repository, gated by the real command."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "experiments").exists():
    collect_ignore = ["test_digits.py"]  # its faults stand in the repository

USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))

MODEL = '''
"""Logistic regression on two overlapping clouds of points, in plain Python."""

import math
import random

LEARNING_RATE = 0.02
NUM_EPOCHS = 2
NUM_TRAIN = 1000
NUM_TEST = 2000


def make_points(num_points, rng):
    labels = [rng.randrange(2) for _ in range(num_points)]
    return [([rng.gauss(2 * label, 1.5), rng.gauss(label, 1.5), 1.0], label) for label in labels]


def score(weights, point):
    return sum(weight * value for weight, value in zip(weights, point))


def fit(seed):
    rng = random.Random(seed)
    weights = [rng.gauss(-2, 0.5) for _ in range(3)]
    points = make_points(NUM_TRAIN, rng)
    for _ in range(NUM_EPOCHS):
        rng.shuffle(points)
        for point, label in points:
            error = 1 / (1 + math.exp(-score(weights, point))) - label
            weights = [weight - LEARNING_RATE * error * value for weight, value in zip(weights, point)]
    return weights


def predict(weights, points):
    return [int(score(weights, point) > 0) for point, _ in points]
'''

EVALUATE = '''
"""Accuracy of predictions."""


def accuracy(predicted, labels):
    return sum(first == second for first, second in zip(predicted, labels)) / len(labels)
'''

WORKLOAD = """
import random

import pytest

from subject import evaluate, model


@pytest.mark.accuracy(metric="top1_accuracy", margin=0.01, ceiling=0.99, resolution=0.0005)
def test_clouds(trial):
    weights = model.fit(trial.seed)
    points = model.make_points(model.NUM_TEST, random.Random(0))
    labels = [label for _, label in points]
    predicted = model.predict(weights, points)
    trial.record(top1_accuracy=evaluate.accuracy(predicted, labels))
    trial.record_predictions(predicted, labels)
    trial.record_digest({"weights": weights})
    trial.record_context(dataset="clouds")
"""

PACKAGE = """
[build-system]
requires = ["uv_build>=0.8,<1"]
build-backend = "uv_build"

[project]
name = "subject"
version = "1.0"
requires-python = ">=3.11"

[dependency-groups]
benchmarks = ["pytest>=8.4"]

[tool.uv.build-backend]
module-name = "subject"

[tool.pytest]
strict = true

[tool.mainstay]
"""
PYPROJECT = f"{PACKAGE}proof = false\ntrial_seconds = 300\n"

SHARED_CACHE = "MAINSTAY_TESTS_CACHE"
"""Names the cache of environments to a session that a test starts."""


@dataclass(frozen=True)
class GateResult:
    """What a user sees of a gate."""

    status: int
    stdout: str
    stderr: str
    run: dict | None

    @property
    def finding(self) -> dict:
        """The only finding."""
        (finding,) = self.run["findings"]
        return finding

    @property
    def verdicts(self) -> dict[str, str]:
        """Verdict of each metric by its id."""
        return {f"{f['metric']['workload']}#{f['metric']['name']}": f["verdict"] for f in self.run["findings"]}


class CommandServer:
    """Runs command lines in forks of one process, which is started when the first one comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def stands_for(self, environ: dict[str, str]) -> bool:
        """Whether a fork is what a new process would be: an interpreter reads some variables when it starts."""
        own, its = ({name: text for name, text in of.items() if name[:6] == "PYTHON"} for of in (os.environ, environ))
        return hasattr(os, "fork") and "COVERAGE_PROCESS_CONFIG" not in environ and own == its

    def run(
        self, arguments: tuple[str, ...], folder: Path, environ: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run one to its end."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("command_server.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "XDG_CACHE_HOME": str(self._folder)},  # uv is asked before the first order
                text=True,
            )
        streams = [self._folder / name for name in ("stdout", "stderr")]
        for stream in streams:
            stream.write_bytes(b"")
        places = {"folder": str(folder), "stdout": str(streams[0]), "stderr": str(streams[1])}
        self._process.stdin.write(json.dumps({"arguments": arguments, "environ": environ, **places}) + "\n")
        self._process.stdin.flush()
        status = os.waitstatus_to_exitcode(int(self._process.stdout.readline()))
        return subprocess.CompletedProcess(arguments, status, *(stream.read_text() for stream in streams))

    def close(self) -> None:
        """End the process."""
        if self._process:
            with self._process:
                self._process.stdin.close()


class Project:
    """A git repository with a subject, its workloads and its configuration."""

    def __init__(
        self,
        root: Path,
        cache: Path,
        start_process: Callable[..., subprocess.Popen[str]],
        commands: CommandServer | None = None,
    ) -> None:
        self.root = root
        self._commands = commands
        self._start_process = start_process
        uv_cache = os.environ.get("UV_CACHE_DIR", str(USER_CACHE / "uv"))  # what is there is not fetched again
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GIT_"))},
            "XDG_CACHE_HOME": str(cache),
            "UV_CACHE_DIR": uv_cache,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
            "GIT_AUTHOR_DATE": "2026-11-23T12:00:00+00:00",  # the seeds come from the commit: the same in every run
            "GIT_COMMITTER_DATE": "2026-11-23T12:00:00+00:00",
        }

    def write(self, path: str, text: str) -> None:
        """Write a file of the working tree."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip())

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text that stands in a file exactly once."""
        text = (self.root / path).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        (self.root / path).write_text(text.replace(old, new))

    def git(self, *arguments: str) -> str:
        """Run git; the output is returned."""
        return subprocess.run(
            ["git", *arguments], cwd=self.root, env=self.environ, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message: str = "change") -> str:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def command(self, *arguments: str) -> list[str]:
        """The command line of mainstay."""
        return [sys.executable, "-m", "mainstay", *arguments]

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run mainstay to its end."""
        if self._commands and self._commands.stands_for(self.environ):
            return self._commands.run(arguments, cwd or self.root, self.environ)
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def gate(self, *arguments: str, cwd: Path | None = None) -> GateResult:
        """Gate the working tree."""
        done = self.run("gate", *arguments, cwd=cwd)
        return GateResult(done.returncode, done.stdout, done.stderr, self.latest_run())

    def start_gate(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a gate in a session of its own, with all that it says on one stream."""
        return self._start_process(
            self.command("gate", *arguments),
            cwd=self.root,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def latest_run(self) -> dict | None:
        """The document of the latest gate that came to a verdict."""
        documents = sorted((self.root / ".mainstay" / "runs").glob("*/run.json"))
        return json.loads(documents[-1].read_text()) if documents else None


@pytest.fixture(scope="session")
def environments_cache(tmp_path_factory):
    """A cache of environments that the whole session shares, with a session that it starts and all workers of xdist."""
    if shared := os.environ.get(SHARED_CACHE):
        return Path(shared)
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "environments"


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    """Runs the command lines of this worker of xdist."""
    server = CommandServer(tmp_path_factory.mktemp("commands"))
    yield server
    server.close()


def new_project(
    root: Path,
    cache: Path,
    start_process=subprocess.Popen,
    commands: CommandServer | None = None,
    *,
    settings: Iterable[str] = (),
) -> Project:
    """Make a repository with one commit on main, with further lines of settings."""
    project = Project(root, cache, start_process, commands)
    project.root.mkdir()
    project.write("pyproject.toml", PYPROJECT + "".join(f"{line}\n" for line in settings))
    project.write("src/subject/__init__.py", "")
    project.write("src/subject/model.py", MODEL)
    project.write("src/subject/evaluate.py", EVALUATE)
    project.write("benchmarks/test_accuracy.py", WORKLOAD)
    project.git("init", "-q", "-b", "main")
    project.commit("first")
    return project


@pytest.fixture(scope="session")
def make_project(environments_cache, commands):
    """Make a repository with one commit on main, with the environments of the session."""

    def make(root, start_process=subprocess.Popen, **options):
        return new_project(root, environments_cache, start_process, commands, **options)

    return make


@pytest.fixture
def project(request, tmp_path, make_project, start_process):
    """A repository of the test's own, with the settings that the closest marker ``settings`` names."""
    marker = request.node.get_closest_marker("settings")
    return make_project(tmp_path / "repository", start_process, settings=marker.args if marker else ())


@pytest.fixture
def guarded(project):
    """A project with a second workload that no change touches."""
    project.write(
        "benchmarks/test_healthy.py",
        """
        import pytest

        @pytest.mark.deterministic(metric="parameters")
        def test_constant(counts):
            counts.record(parameters=3)
        """,
    )
    project.commit("a healthy workload")
    return project


@pytest.fixture
def clone_of_this_repository(tmp_path, start_process, commands):
    """A clone of the repository that the tests stand in; its PyTorch, 5 GB, is that of the contributor's own gates."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("the tests do not stand in a git repository")
    project = Project(tmp_path / "clone", USER_CACHE, start_process, commands)
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", root.as_uri(), str(project.root)], check=True, env=project.environ
    )
    project.git("checkout", "-q", "-B", "main")  # whatever branch the contributor is on
    return project
