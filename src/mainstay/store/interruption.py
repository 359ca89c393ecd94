"""Handling of Ctrl-C and termination signals: raised once, and never during a clean-up.

Python runs the handler of a signal in the main thread, whichever thread the system delivers it to. So a signal mask of
one thread has no effect once there are other threads, such as those of numpy. Instead, the handler itself defers
the interrupt: during a clean-up it only records the signal, and the interrupt is raised after the clean-up.

- :func:`interrupts_taken`: turn the first signal into one ``KeyboardInterrupt``, and ignore later ones.
- :func:`undisturbed`: defer interrupts to the end of a context.
- :func:`ended_by_another`: let one more signal end a part of a clean-up that may take minutes.
- :func:`cleaned_up`: run a clean-up, whenever an interrupt comes.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from mainstay.records.errors import Interrupted

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a request to end, and the end of the terminal."""

RAISE_AGAIN_SECONDS = 0.01
"""Seconds after which an interrupt that Python dropped is raised again."""


@dataclass(slots=True)
class _State:
    """State that the handlers share.

    Attributes:
        is_taken: Whether the handlers are installed.
        num_holds: Number of clean-ups that defer interrupts.
        is_held_back: Whether an interrupt was deferred.
        is_raised: Whether an interrupt was raised; all later ones are ignored.
    """

    is_taken: bool = False
    num_holds: int = 0
    is_held_back: bool = False
    is_raised: bool = False


_state = _State()
_pending: list[Callable[[], object]] = []


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Handle one of the signals."""
    if _state.is_raised:
        return
    if _state.num_holds:
        _state.is_held_back = True
        return
    _state.is_raised = True
    raise KeyboardInterrupt


@contextmanager
def interrupts_taken(*, until_exit: bool = False) -> Iterator[None]:
    """Turn the first of :data:`SIGNALS` into one ``KeyboardInterrupt``, and ignore later ones.

    If an exception is raised in a destructor or in a callback of the import system, Python drops it; the interrupt is
    then raised again. At the end, clean-ups that an interrupt prevented are run. SIGHUP stays ignored if it was ignored
    before, as under ``nohup``. Nested calls, and calls outside the main thread, have no effect.

    Args:
        until_exit: Whether to ignore the signals afterwards, because the process is about to end with a status of its
            own.
    """
    is_outermost = not _state.is_taken
    with _handlers(until_exit=until_exit):
        try:
            yield
        finally:
            if is_outermost and threading.current_thread() is threading.main_thread():
                _state.is_raised = True  # nothing is left that an interrupt could affect
                for clean in reversed(list(_pending)):
                    _finish(clean)


@contextmanager
def _handlers(*, until_exit: bool = False) -> Iterator[None]:
    """Handle the signals, and interrupts that Python drops."""
    if _state.is_taken or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous_hook = sys.unraisablehook

    def raise_again(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt or sys.platform == "win32":
            previous_hook(unraisable)
            return
        _state.is_raised = False
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, RAISE_AGAIN_SECONDS)

    _state.is_taken, _state.is_raised, _state.is_held_back = True, False, False
    previous = {}
    try:
        sys.unraisablehook = raise_again
        for each in SIGNALS:
            if each.name != "SIGHUP" or signal.getsignal(each) is not signal.SIG_IGN:
                previous[each] = signal.getsignal(each)
                signal.signal(each, _interrupt)
        yield
    finally:
        _state.is_raised = True
        sys.unraisablehook = previous_hook
        _state.is_taken = False
        for each, handler in reversed(previous.items()):  # Ctrl-C last: it may be raised at once
            signal.signal(each, signal.SIG_IGN if until_exit else handler)


@contextmanager
def interruptible(next_step: str) -> Iterator[None]:
    """Explain an interrupt to the user.

    Args:
        next_step: What the user can do after it.

    Raises:
        Interrupted: Instead of the ``KeyboardInterrupt``.
    """
    with interrupts_taken():
        try:
            yield
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted", next_step=next_step) from error


@contextmanager
def undisturbed() -> Iterator[None]:
    """Defer interrupts to the end of the context; outside the main thread this does nothing.

    Raises:
        KeyboardInterrupt: At the end, if a signal came meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handlers():
        _state.num_holds += 1
        try:
            yield
        finally:
            _state.num_holds -= 1
            if _state.is_held_back and not _state.num_holds and not _state.is_raised:
                _state.is_held_back, _state.is_raised = False, True
                raise KeyboardInterrupt


@contextmanager
def ended_by_another() -> Iterator[None]:
    """Let one more signal end the context if an interrupt was raised before, even within :func:`undisturbed`.

    Raises:
        KeyboardInterrupt: If a signal comes.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not (is_main and _state.is_taken and _state.is_raised):
        yield
        return
    num_holds = _state.num_holds
    try:
        _state.num_holds, _state.is_raised = 0, False
        yield
    finally:
        _state.num_holds, _state.is_raised = num_holds, True


def is_undisturbed() -> bool:
    """Whether an interrupt would have no effect now, so that child processes must not feel Ctrl-C either."""
    return _state.is_taken and (_state.num_holds > 0 or _state.is_raised)


@contextmanager
def cleaned_up(clean: Callable[[], object]) -> Iterator[None]:
    """Call a function at the end of the context, even after an interrupt at any moment.

    If an interrupt comes between the end of the body and the clean-up, :func:`interrupts_taken` runs the clean-up at
    its end.

    Args:
        clean: Function to call; it may be called a second time if the first call was interrupted.
    """
    _pending.append(clean)
    try:
        yield
    finally:
        with undisturbed():
            _finish(clean)


def _finish(clean: Callable[[], object]) -> None:
    clean()
    with suppress(ValueError):
        _pending.remove(clean)
