"""Follow the README and the first contribution to the letter, as someone who has never been here.

Every fenced ``console`` block of ``README.md`` under "A first verdict in a few minutes" and "Try it", and of
``CONTRIBUTING.md`` under "Your first pull request", is run, in order, line by line, in a clone of one commit, with an
empty home folder. The line that makes the clone is left out. A line that fails stops the walk.

    python scripts/walk.py                  shares uv's download cache with you
    python scripts/walk.py --from-nothing   shares nothing
    python scripts/walk.py --skip-readme    the contribution alone
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands_under(heading: str, text: str) -> Iterator[str]:
    r"""Yield the commands of the console blocks of a section, one a logical line.

    Example:
        >>> list(commands_under("Do", "## Do\n```console\nls \\\n  -l\npwd\n```\n## Else\n```console\nrm\n```\n"))
        ['ls   -l', 'pwd']
    """
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if not section:
        raise SystemExit(f"error: no section '{heading}'")
    for block in BLOCK.findall(section[1]):
        yield from filter(None, block.replace("\\\n", "").splitlines())


def commands_of_readme(text: str) -> Iterator[str]:
    """Yield the commands of the README that run in a clone."""
    for heading in ("A first verdict in a few minutes", "Try it"):
        yield from (command for command in commands_under(heading, text) if not command.startswith("git clone "))


def fresh_environment(home: Path, *, cache: str | None) -> dict[str, str]:
    """Return the environment of someone who has just logged in; proxies and indexes stay as they are."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("VIRTUAL_ENV", "NOX", "COVERAGE"))}
    kept |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    if cache:
        kept["UV_CACHE_DIR"] = cache
    return kept


def clone_repository(root: Path, clone: Path) -> None:
    """Clone with the whole history: the gate of the README compares with an earlier commit."""
    subprocess.run(["git", "clone", "--quiet", root.as_uri(), str(clone)], check=True)


def walk(commands: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run the commands there.

    Raises:
        SystemExit: At the first that fails.
    """
    for command in commands:
        print(f"\n$ {command}", flush=True)
        start = time.monotonic()
        done = subprocess.run(["bash", "-euc", command], cwd=folder, env=environment, check=False)
        print(f"# {time.monotonic() - start:.0f} s", flush=True)
        if done.returncode:
            raise SystemExit(f"error: exit status {done.returncode} of: {command}")


def main() -> None:
    """Clone, then walk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from-nothing", action="store_true", help="share no cache")
    parser.add_argument("--skip-readme", action="store_true", help="walk the contribution alone")
    options = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    readme = list(commands_of_readme((root / "README.md").read_text("utf-8")))
    contribution = list(commands_under("Your first pull request", (root / "CONTRIBUTING.md").read_text("utf-8")))
    usual = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    cache = None if options.from_nothing else usual
    with tempfile.TemporaryDirectory() as place:
        clone, home = Path(place, "mainstay"), Path(place, "home")
        home.mkdir()
        clone_repository(root, clone)
        start = time.monotonic()
        walk([*([] if options.skip_readme else readme), *contribution], clone, fresh_environment(home, cache=cache))
        print(f"\nwalked in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
