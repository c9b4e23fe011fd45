"""Plays in a child of this process, so that a task that dies takes nothing else along.

The child is a fork: it has the terminal, the loaded modules and the process group of its parent.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace

from dalsegno.engine import process
from dalsegno.engine.descendants import adopt, descendants, end_own
from dalsegno.errors import NotFoundError
from dalsegno.replay.outcome import Replayed, read_outcome, write_outcome

_STOPPED, _BROKEN = 130, 70


def play_in_child(started: Replayed, play: Callable[[], object]) -> Replayed:
    """Play in a forked child, end what it leaves behind, and return the outcome that it kept.

    Args:
        started: The replay as it is before it starts.
        play: Plays it, and keeps the outcome in its folder.

    Raises:
        KeyboardInterrupt: The replay was stopped.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    adopt()
    others = descendants(os.getpid())
    child = os.fork()
    if child == 0:
        _run_child(play)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal stops the child as well
    try:
        _, status = os.waitpid(child, 0)
    finally:
        signal.signal(signal.SIGINT, before)
        end_own(others)
    code = os.waitstatus_to_exitcode(status)
    if code in (_STOPPED, -signal.SIGINT):
        raise KeyboardInterrupt
    return kept_outcome(started, code)


def kept_outcome(started: Replayed, code: int) -> Replayed:
    """Return the outcome that an ended process kept; one that kept none did not end by itself.

    Args:
        code: Its exit code, negative when a signal ended it.
    """
    with contextlib.suppress(NotFoundError):
        return read_outcome(started.folder)
    ended = process.read_outcome(started.folder / "none", code)
    error = {"file": None, "line": None, "function": None, "source_line": None}
    outcome = replace(started, error={**error, **(ended.error or {})}, exit_code=code)
    write_outcome(outcome)
    return outcome


def _run_child(play: Callable[[], object]) -> None:
    """Play, then end like an interpreter does: threads, exit handlers, streams."""
    code = _BROKEN
    try:
        play()
        code = 0
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
    except KeyboardInterrupt:
        code = _STOPPED
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
