"""Starts the server as a child process and waits for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dalsegno.errors import InfrastructureError

_STOP_SECONDS = 40


@dataclass
class ServerProcess:
    """A server that runs; as a context manager it is stopped at the end.

    Attributes:
        url: Where it listens.
        rpc: `host:port` for gRPC, "" if it is not spoken.
        process: The child process.
        log_path: What it logs.
    """

    url: str
    rpc: str
    process: subprocess.Popen[str]
    log_path: Path

    def stop(self) -> int:
        """Let it answer what is under way, then stop it; returns its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """Stop it at once, as `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if self.process.stdout:
            self.process.stdout.close()


def start_server(
    *endpoints: str,
    log_path: Path,
    port: int = 0,
    cache_dir: Path | None = None,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> ServerProcess:
    """Start a server that stops with this process, and wait until it listens.

    Args:
        endpoints: Whose releases it follows.
        log_path: File that its log is appended to.
        port: Port to listen at; 0 takes a free one.
        cache_dir: Where it keeps models on this machine.
        options: Of `python -m dalsegno.serving`, besides.
        environment: Variables besides ours: `Settings.environment()` names the store.

    Raises:
        InfrastructureError: It ended before it listened.
    """
    command = [sys.executable, "-P", "-m", "dalsegno.serving", *endpoints, *options]
    command += ["--port", str(port), "--parent", str(os.getpid())]
    command += ["--cache-dir", str(cache_dir)] if cache_dir else []
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    assert process.stdout is not None  # noqa: S101 (it is a pipe)
    line = process.stdout.readline()
    if not line:
        last = (log_path.read_text().splitlines() or ["nothing"])[-1]
        process.stdout.close()
        code = process.wait()
        raise InfrastructureError(f"server: got exit code {code} ({last}), want it to listen")
    said = json.loads(line)
    return ServerProcess(said["url"], said["rpc"], process, log_path)
