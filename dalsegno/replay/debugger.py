"""Stops in a debugger where the task failed: pdb in this terminal, or an IDE over debugpy."""

from __future__ import annotations

import contextlib
import os
import pdb
import socket
import sys
import threading
from importlib import import_module
from types import CodeType, FrameType, TracebackType
from typing import Any

from dalsegno.errors import ConfigurationError, ConflictError
from dalsegno.replay.frames import is_between, is_users
from dalsegno.terminal import visible

HOST = "127.0.0.1"


class _PostMortem(pdb.Pdb):
    """A debugger whose stack begins at the task and stands in the user's own frame.

    The frames below it, in libraries and comprehensions, are reached with `down`.
    """

    def get_stack(
        self, f: FrameType | None, t: TracebackType | None
    ) -> tuple[list[tuple[FrameType, int]], int]:
        """See `bdb.Bdb.get_stack`."""
        stack, _ = super().get_stack(f, t)
        names = [frame.f_code.co_filename for frame, _ in stack]
        first = next((n for n, name in enumerate(names) if is_users(name)), 0)
        kept = [entry for entry in stack[first:] if not is_between(entry[0].f_code.co_filename)]
        users = [n for n, (frame, _) in enumerate(kept) if _is_place_to_stand(frame.f_code)]
        return kept or stack, users[-1] if users else max(len(kept or stack) - 1, 0)


def _is_place_to_stand(code: CodeType) -> bool:
    """Whether a person wants to look around there: in a comprehension, most names are missing."""
    return is_users(code.co_filename) and not code.co_name.startswith("<")


def stop_in_pdb(error: BaseException) -> None:
    """Open pdb where an exception was raised."""
    frames = error.__traceback__
    if frames is None:
        return
    sys.stderr.write(visible(f"{type(error).__name__}: {error}\n"))
    debugger = _PostMortem()
    debugger.reset()
    with contextlib.suppress(SystemExit):
        debugger.interaction(None, frames)


def listen(port: int) -> tuple[str, int]:
    """Wait on the loopback interface for an IDE to attach; returns at once.

    Args:
        port: 0 takes a free one.

    Raises:
        ConflictError: The port is taken.
        ConfigurationError: debugpy cannot be started.
    """
    port = port or _free_port()
    try:
        os.environ.setdefault(
            "PYDEVD_DISABLE_FILE_VALIDATION", "1"
        )  # a warning about frozen modules
        import debugpy

        address = debugpy.listen((HOST, port))
    except ImportError as error:
        raise ConfigurationError(
            "debugpy: got none, want it installed", "pip install debugpy"
        ) from error
    except (OSError, RuntimeError) as error:
        raise ConflictError(
            f"--listen: got port {port} taken ({error}), want a free one", "--listen 0"
        ) from error
    return str(address[0]), int(address[1])


def wait_for_ide() -> None:
    """Wait until an IDE has attached and set its breakpoints."""
    import debugpy

    debugpy.wait_for_client()


def stop_in_ide(error: BaseException) -> None:
    """Stop an attached debugpy where an exception was raised, as it does for an uncaught one."""
    if "pydevd" not in sys.modules or error.__traceback__ is None:
        return
    debugger = None
    with contextlib.suppress(AttributeError, TypeError):  # another pydevd, such as PyCharm's
        debugger = _pydevd()
    if debugger is None:
        return
    thread = threading.current_thread()
    info = debugger.set_additional_thread_info(thread)
    info.is_tracing += 1
    try:
        found = (type(error), error, _from_task(error.__traceback__))
        debugger.stop_on_unhandled_exception(debugger, thread, info, found)
    finally:
        info.is_tracing -= 1


def _pydevd() -> Any:
    """Return pydevd's debugger, ready to stop at any exception that leaves the task."""
    debugger = import_module("pydevd").get_global_debugger()
    if debugger is None or not hasattr(debugger, "stop_on_unhandled_exception"):
        return None
    if not debugger.break_on_uncaught_exceptions:
        breakpoints = import_module("_pydevd_bundle.pydevd_breakpoints")
        every = breakpoints.ExceptionBreakpoint(
            qname="BaseException",
            condition=None,
            expression=None,
            notify_on_handled_exceptions=False,
            notify_on_unhandled_exceptions=True,
            notify_on_user_unhandled_exceptions=False,
            notify_on_first_raise_only=False,
            ignore_libraries=False,
        )
        debugger.break_on_uncaught_exceptions = {BaseException: every}
    return debugger


def _from_task(frames: TracebackType) -> TracebackType:
    """Drop the frames that lead to the task: an IDE shows the first as the place of the error."""
    found: TracebackType | None = frames
    while found is not None and is_between(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found or frames


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])
