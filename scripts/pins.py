"""One version for each tool, wherever it is written down.

Versions are decided by ``nox -s lock`` alone, in ``constraints/``. Hooks and workflows repeat some of them, and no
update service keeps local hooks in step, so this does:

- a package has the same version in every constraints file but that of ``formats``, whose tools hold others back;
- ``.pre-commit-config.yaml`` pins what ``constraints/hooks.txt`` says;
- workflows install the uv of ``constraints/dev.txt``;
- an action is pinned by one full commit everywhere, with its version beside it.

    python scripts/pins.py          prints what is out of step
    python scripts/pins.py --fix    rewrites hooks and workflows
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", re.MULTILINE)
HOOK_LINE = re.compile(r"additional_dependencies: \[(.*)\]")
HOOK_PIN = re.compile(r"([\w.-]+)(\[[\w,-]+\])?==([^\s,\]]+)")
UV_VERSION = re.compile(r"(astral-sh/setup-uv@.*\n(?: +.*\n)*? +version: \")([\d.]+)")
ACTION = re.compile(r"uses: ([\w.-]+/[\w.-]+)(?:/[\w./-]+)?@(\S+)(?: +# (v[\w.]+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")

Versions = Mapping[str, frozenset[str]]


def parse_constraints(text: str) -> Versions:
    r"""Read the versions of a constraints file; a package has several where they depend on the platform.

    Example:
        >>> sorted(parse_constraints("numpy==2.4.6 ; python_version < '3.12' \\\nnumpy==2.5.0\n")["numpy"])
        ['2.4.6', '2.5.0']
    """
    found: dict[str, set[str]] = defaultdict(set)
    for name, version in PIN.findall(text):
        found[name.lower()].add(version)
    return {name: frozenset(versions) for name, versions in found.items()}


def constraint_problems(files: Mapping[str, Versions]) -> Iterator[str]:
    """Yield the packages whose version differs between two constraints files.

    Args:
        files: File name to what it pins.
    """
    names = sorted({name for versions in files.values() for name in versions})
    for name in names:
        holders = {file: versions[name] for file, versions in files.items() if name in versions}
        if not frozenset.intersection(*holders.values()):
            spelled = ", ".join(f"{'/'.join(sorted(versions))} in {file}" for file, versions in holders.items())
            yield f"{name}: {spelled}; run nox -s lock"


def fix_hooks(text: str, hooks: Versions) -> str:
    """Return the pre-commit configuration with the versions of the hooks' constraints.

    Example:
        >>> fix_hooks("additional_dependencies: [ruff==0.1, reuse[x]==1]", {"ruff": frozenset({"0.2"})})
        'additional_dependencies: [ruff==0.2, reuse[x]==1]'
    """

    def pinned(match: re.Match[str]) -> str:
        name, extra, version = match[1], match[2] or "", match[3]
        return f"{name}{extra}=={max(hooks.get(name.lower(), {version}))}"

    return HOOK_LINE.sub(lambda line: HOOK_PIN.sub(pinned, line[0]), text)


def hooks_without_pin(text: str, hooks: Versions) -> Iterator[str]:
    """Yield the hook dependencies that are not pinned, or that the constraints do not know."""
    for line in HOOK_LINE.findall(text):
        for dependency in line.split(", "):
            match = HOOK_PIN.fullmatch(dependency)
            if not match or match[1].lower() not in hooks:
                yield f".pre-commit-config.yaml: {dependency} is not in constraints/hooks.txt"


def fix_workflow(text: str, uv_version: str) -> str:
    r"""Return a workflow that installs this version of uv.

    Example:
        >>> print(fix_workflow('uses: astral-sh/setup-uv@abc # v1\n  with:\n    version: "0.1.0"', "0.13.9"))
        uses: astral-sh/setup-uv@abc # v1
          with:
            version: "0.13.9"
    """
    return UV_VERSION.sub(rf"\g<1>{uv_version}", text)


def action_problems(workflows: Mapping[str, str]) -> Iterator[str]:
    """Yield actions that are not pinned by a full commit with a version, or that have two pins.

    Args:
        workflows: File name to text.
    """
    pins: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for file, text in workflows.items():
        for action, revision, version in ACTION.findall(text):
            if not COMMIT.fullmatch(revision) or not version:
                yield f"{file}: {action} needs a full commit and its version in a comment"
            pins[action].add((revision, version))
    for action, seen in pins.items():
        if len(seen) > 1:
            yield f"{action} is pinned to {len(seen)} revisions: {', '.join(sorted(version for _, version in seen))}"


def main(arguments: list[str]) -> int:
    """Print or mend what is out of step; 1 if anything is left."""
    root = Path(__file__).resolve().parents[1]
    constraints = {file.name: parse_constraints(file.read_text()) for file in (root / "constraints").glob("*.txt")}
    hooks_file = root / ".pre-commit-config.yaml"
    workflow_files = sorted((root / ".github").rglob("*.yml"))
    wanted = {hooks_file: fix_hooks(hooks_file.read_text(), constraints["hooks.txt"])}
    wanted |= {file: fix_workflow(file.read_text(), max(constraints["dev.txt"]["uv"])) for file in workflow_files}
    stale = [file for file, text in wanted.items() if text != file.read_text()]
    if "--fix" in arguments:
        for file in stale:
            file.write_text(wanted[file])
        stale = []
    problems = [
        *constraint_problems({name: pins for name, pins in constraints.items() if name != "formats.txt"}),
        *hooks_without_pin(hooks_file.read_text(), constraints["hooks.txt"]),
        *action_problems({file.name: file.read_text() for file in workflow_files}),
        *(f"{file.relative_to(root)} is behind constraints/; run nox -s pins -- --fix" for file in stale),
    ]
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
