"""Time that other Python threads of a process would have taken from calls that ended before they could.

A thread that becomes ready while another one runs waits up to 5 ms for the interpreter (:func:`sys.getswitchinterval`). A
block of calls is shorter: the thread would do its work while the other revision has its turn, and delay no call. So it is
let in when the block has ended, and what it does then is counted as part of the block.

- :class:`OtherThreads`: meter of that time, block by block.
"""

from __future__ import annotations

import threading
from time import process_time, sleep, thread_time  # bound here: the measured code may replace them

from .channel import Listener

PAUSE_SECONDS = 5e-5
"""Time in which a thread that waits for the interpreter wakes up. It then has it until it waits for something, or for 5 ms."""


class OtherThreads:
    """Meter of the processor time that other threads use between the timed spans of a block.

    What they use within a span has delayed its calls, if they share the interpreter, and is part of the span.

    Example:
        >>> others = OtherThreads()
        >>> others.begin_block()
        >>> others.begin_span()
        >>> others.end_span()
        >>> others.end_block() >= 0.0
        True
    """

    def __init__(self) -> None:
        self._exist = False
        self._missed_s = self._at_end_s = 0.0

    def begin_block(self) -> None:
        """Look whether there are other threads; call this before the first span."""
        here = threading.current_thread()
        self._exist = any(not (thread is here or isinstance(thread, Listener)) for thread in threading.enumerate())
        self._missed_s, self._at_end_s = 0.0, 0.0

    def begin_span(self) -> None:
        """Count what the other threads did since the last span; call this just before the clock is read."""
        if self._at_end_s:
            self._missed_s += _processor_time_of_others() - self._at_end_s

    def end_span(self) -> None:
        """Note what the other threads have done; call this just after the clock is read, before anything lets them in."""
        if self._exist:
            self._at_end_s = _processor_time_of_others()

    def end_block(self) -> float:
        """Let in the threads that are ready, and wait until they have worked.

        Returns:
            Seconds that other threads used between the spans and now; 0.0 at once if there are no such threads.
        """
        if self._exist:
            sleep(PAUSE_SECONDS)
            self.begin_span()
        return max(0.0, self._missed_s)


def _processor_time_of_others() -> float:
    return process_time() - thread_time()
