"""nox sessions for use in a project's own noxfile.

Each function is the body of a session; your noxfile applies the decorator, and so chooses the name, the Python and the
default::

    import nox
    from mainstay import nox_sessions

    gate = nox.session(nox_sessions.gate)
    doctor = nox.session(nox_sessions.doctor)

Then ``nox -s gate -- --seconds 600`` passes its arguments on. Needs the extra ``nox``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import nox

__all__ = ["accuracy", "calibrate", "doctor", "gate", "performance"]


def gate(session: nox.Session, *, install: Sequence[str] | None = None) -> None:
    """Compare the working tree with its base: is the model worse, is the code slower?

    The session's environment contains only the tool; the gate builds the environments of both revisions.

    Args:
        session: Session of nox.
        install: Requirement from which the tool is installed; this version if ``None``.
    """
    _run(session, install, "gate")


def accuracy(session: nox.Session, *, install: Sequence[str] | None = None) -> None:
    """Compare only the accuracy of the working tree with that of its base.

    Args:
        session: Session of nox.
        install: Requirement from which the tool is installed; this version if ``None``.
    """
    _run(session, install, "gate", "--only", "accuracy")


def performance(session: nox.Session, *, install: Sequence[str] | None = None) -> None:
    """Compare only time, memory and size of the working tree with those of its base.

    Args:
        session: Session of nox.
        install: Requirement from which the tool is installed; this version if ``None``.
    """
    _run(session, install, "gate", "--only", "performance")


def calibrate(session: nox.Session, *, install: Sequence[str] | None = None) -> None:
    """Gate the working tree against itself: how noisy is this machine, and which margins does it support?

    Args:
        session: Session of nox.
        install: Requirement from which the tool is installed; this version if ``None``.
    """
    _run(session, install, "calibrate")


def doctor(session: nox.Session, *, install: Sequence[str] | None = None) -> None:
    """Check this machine, and report anything that would stop a gate.

    Args:
        session: Session of nox.
        install: Requirement from which the tool is installed; this version if ``None``.
    """
    _run(session, install, "doctor")


def _run(session: nox.Session, install: Sequence[str] | None, *command: str) -> None:
    """Install the tool and call it with the session's own arguments last."""
    session.install(*(install or [f"mainstay=={version('mainstay')}"]))
    session.run("mainstay", *command, *session.posargs)
