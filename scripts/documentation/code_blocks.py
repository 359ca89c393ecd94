"""Runs the code blocks of a page, from top to bottom, as a reader would.

- ``python``: run in one namespace a page; a block with ``>>>`` must print what it says.
- ``console``: commands after ``$``, which must succeed unless ``$ echo $?`` follows; output that is shown must come,
  ``...`` stands for any. ``sh`` and ``bash``: scripts that must succeed.
- ``toml`` and ``json`` must read; ``[tool.mainstay]`` must be valid settings.

A block that looks runnable but is not run says why: ``title="Not run here: ..."``, which the site leaves out. The front
matter of a page may say ``workspace: clone`` (it runs in a clone of the repository, else in an empty folder) and
``slow: true`` (it takes minutes).
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

INFO = re.compile(r"(?P<language>[\w+-]*)(?P<options>[^\n]*)$\n", re.MULTILINE)
REASON = re.compile(r'title="Not run here: [^"]{10,}"')
MATCHING = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SHOWN_ONLY = frozenset({"css", "diff", "html", "ini", "jinja", "markdown", "mermaid", "text", "xml", "yaml"})
STATUS = "echo $?"


@dataclass(slots=True)
class Shell:
    """What one command leaves to the next: the folder and the exit status.

    Attributes:
        folder: Where the next command runs.
        environ: Variables of every command.
        status: Exit status of the last command.
    """

    folder: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    status: int = 0

    def run(self, command: str) -> str:
        """Run a command and return what it printed."""
        reading, writing = os.pipe()
        script = f"(exit {self.status})\n{command}\nstatus=$?\npwd >&{writing}\nexit $status\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[writing],
            check=False,
        )
        os.close(writing)
        with open(reading, encoding="utf-8") as folder:
            self.folder = Path(folder.read().strip() or self.folder)
        self.status = done.returncode
        return done.stdout


def iter_examples(text: str, path: str, shell: Shell) -> Iterator[Example]:
    """Yield the blocks of a page, ready to be evaluated.

    Args:
        text: The page.
        path: What to call it.
        shell: Runs the commands.

    Raises:
        ValueError: If a block says no language, or one that is not known.
    """
    document = Document(text, path)
    end = 0
    for region in sorted(RawFencedCodeBlockLexer(INFO)(document), key=lambda region: (region.start, -region.end)):
        if region.start < end:
            continue  # shown inside another block
        end = region.end
        evaluate = evaluator(region, shell, f"{path}, {document.line_column(region.start)}")
        document.add(Region(region.start, region.end, region.lexemes["source"], evaluate))
    return document.examples()


def evaluator(region: Region, shell: Shell, place: str) -> Callable[[Example], str | None]:
    """Return what evaluates a block."""
    language, options = region.lexemes["language"], region.lexemes["options"]
    if REASON.search(options):
        return lambda example: None
    evaluators: Mapping[str, Callable[[Example], str | None]] = {
        "python": evaluate_python,
        "pycon": evaluate_python,
        "console": lambda example: evaluate_console(str(example.parsed), shell),
        "toml": lambda example: evaluate_toml(str(example.parsed), place),
        "json": lambda example: evaluate_json(str(example.parsed)),
        **dict.fromkeys(("sh", "bash"), lambda example: evaluate_script(str(example.parsed), shell)),
        **dict.fromkeys(SHOWN_ONLY, lambda example: None),
    }
    if language not in evaluators:
        raise ValueError(f"{place}: a block of {language or 'no language'}; there are {', '.join(sorted(evaluators))}")
    return evaluators[language]


def evaluate_python(example: Example) -> str | None:
    """Run Python; what a block with ``>>>`` prints must be what it shows."""
    source = str(example.parsed)
    if ">>>" not in source:
        with contextlib.redirect_stdout(io.StringIO()):
            return PythonEvaluator()(example)
    printed = io.StringIO()
    test = doctest.DocTestParser().get_doctest(source, example.namespace, example.path, example.path, example.line)
    doctest.DocTestRunner(optionflags=MATCHING, verbose=False).run(test, out=printed.write, clear_globs=False)
    example.namespace.update(test.globs)
    return printed.getvalue()


def evaluate_console(source: str, shell: Shell) -> str | None:
    """Run the commands of a console and compare what they print with what is shown."""
    commands = list(iter_commands(source))
    if not commands:
        return "no command: each begins with '$ '"
    for position, (command, expected) in enumerate(commands):
        printed = shell.run(command)
        is_asked_for = position + 1 < len(commands) and commands[position + 1][0] == STATUS
        if shell.status and not is_asked_for:
            return f"{command}\nexit status {shell.status}\n{printed}"
        if expected and not doctest.OutputChecker().check_output(expected, printed, MATCHING):
            return f"{command}\nexpected:\n{expected}\nprinted:\n{printed}"
    return None


def iter_commands(source: str) -> Iterator[tuple[str, str]]:
    r"""Yield the commands of a console, each with the output that is shown.

    Example:
        >>> list(iter_commands("$ echo \\\n>   a\na\n$ true\n"))
        [('echo \\\n  a', 'a\n'), ('true', '')]
    """
    for block in re.split(r"^\$ ", source, flags=re.MULTILINE)[1:]:
        first, *rest = block.splitlines()
        command = [first]
        while rest and rest[0].startswith("> "):
            command.append(rest.pop(0)[2:])
        yield "\n".join(command), "".join(f"{line}\n" for line in rest)


def evaluate_script(source: str, shell: Shell) -> str | None:
    """Run a script; every command must succeed."""
    printed = shell.run(f"set -e\n{source}")
    return f"exit status {shell.status}\n{printed}" if shell.status else None


def evaluate_toml(source: str, place: str) -> str | None:
    """Read TOML, and the settings of the gate in it."""
    from mainstay.project.configuration import read_configuration
    from mainstay.records.errors import ConfigurationError

    try:
        tomllib.loads(source)
        read_configuration(source, place)
    except (tomllib.TOMLDecodeError, ConfigurationError) as error:
        return str(error)
    return None


def evaluate_json(source: str) -> str | None:
    """Read JSON."""
    try:
        _: Any = json.loads(source)
    except ValueError as error:
        return str(error)
    return None
