"""A process with the heavy imports loaded, which forks one process a task.

It reads commands on a socket (JSON lines, two file descriptors with each) and writes what became
of its children to standard output. It forks only while it has exactly one thread, because a fork
copies no others; it says so, and tasks then start cold.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from dalsegno.engine import executor
from dalsegno.engine.descendants import adopt, end_own, has_children
from dalsegno.engine.preload import heavy_modules
from dalsegno.engine.worker import die_with, end_descendants, enter_mounts, play

# Keeps numpy and pyarrow from starting threads of their own when they are loaded.
QUIET = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
COMMAND_FD = 3
_CHUNK = 65536
_FDS = 2


class Forkserver:
    """Serves fork requests first, and loads one module ahead whenever there is none."""

    def __init__(self, commands: socket.socket) -> None:
        self.commands = commands
        self.sources: list[str] = []
        self.to_load: list[str] = []
        self.seen: set[str] = set()
        self.children: dict[int, int] = {}
        self.buffer = b""
        self.fds: list[int] = []
        self.wake, wake_end = os.pipe()
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Work until the engine closes the socket."""
        while True:
            timeout = 0 if self.to_load or self.sources else None
            watched = [self.commands.fileno(), self.wake]
            ready, _, _ = select.select(watched, [], [], timeout)
            if self.wake in ready:
                os.read(self.wake, _CHUNK)
            self._reap()
            if self.commands.fileno() in ready and not self._receive():
                return
            if not ready and timeout == 0:
                self._prepare()

    def _receive(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self.commands, _CHUNK, _FDS)
        if not data:
            return False
        self.buffer += data
        self.fds += fds
        while b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            self._obey(json.loads(line))
        return True

    def _obey(self, command: dict[str, Any]) -> None:
        if "load" in command:
            self.sources += command["load"]
            return
        fds, self.fds = self.fds[:_FDS], self.fds[_FDS:]
        if _threads() != 1:
            _say({"id": command["id"], "refused": f"{_threads()} threads"})
        elif (pid := os.fork()) == 0:
            self._be_task(command, *fds)
        else:
            self.children[pid] = command["id"]
            _say({"id": command["id"], "pid": pid})
        for fd in fds:
            os.close(fd)

    def _be_task(self, command: dict[str, Any], log: int, lifeline: int) -> None:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(lifeline, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(COMMAND_FD, max(log, lifeline, self.wake, self.commands.fileno()) + 2)
        os.environ.clear()
        os.environ.update(command["environment"])
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()
        code = 1
        try:
            refused = enter_mounts(command["request"])
            adopt()
            die_with(0)
            code = play(command["request"], refused)
            end_descendants()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _prepare(self) -> None:
        """Do a small part of what is to be done ahead: look for modules, or load one."""
        if self.to_load:
            _load(self.to_load.pop(0))
        else:
            self.to_load += heavy_modules(self.sources.pop(0), self.seen)
        if not self.to_load and not self.sources:
            _say({"loaded": True})

    def _reap(self) -> None:
        has_ended = False
        while has_children():
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            if pid in self.children:  # else it is what a task left behind
                code = os.waitstatus_to_exitcode(status)
                _say({"id": self.children.pop(pid), "exit_code": code})
                has_ended = True
        if has_ended:
            end_own(self.children)


def _load(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        _say({"not_loaded": name, "error": str(error)})


def _threads() -> int:
    return len(os.listdir(Path("/proc/self/task")))


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    executor.load_kfp()
    adopt()  # what a task that was killed leaves behind comes to this process
    Forkserver(socket.socket(fileno=int(sys.argv[1]))).serve()
    end_own()
