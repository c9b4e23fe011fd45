"""Runs one container through the command line of podman or docker, and leaves none behind.

The clients' command line is the one interface that both have with the same words, that follows the
user's own configuration (contexts, rootless mode, registries' log-ins, `containers.conf`), and that
podman has without a service running.

A container is made, started, looked at and only then removed, so that its exit code is the
engine's own word. It is removed whatever happens: by us, or, if this process is killed, by a shell
that waits for it (`_Guard`). Should even that fail, its labels tell what it was:
`podman ps --all --filter label=dalsegno.run`.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dalsegno.engine.log import Output, logged
from dalsegno.engine.play import Mount, Started
from dalsegno.errors import ConfigurationError, InfrastructureError, InputError

ENGINES = ("podman", "docker")
GRACE_SECONDS = 5
_SHOWN = 300
_PROBE_SECONDS = 20
_NOT_STARTED = 127
_AT_REST = {"exited", "stopped", "created", "configured", "initialized", "dead"}
# What the clients themselves read: a task's variable of such a name goes to them as an argument.
_READ_BY_CLIENTS = re.compile(
    r"PATH|HOME|USER|TMPDIR|TZ|LANG|_|(LC_|LD_|XDG_|DOCKER|CONTAINER|PODMAN|BUILDAH|REGISTRY|SSL_|GO)"
    r".*|.*_PROXY",
    re.IGNORECASE,
)
# Waits for a word; if its giver dies before it, ends the group's other processes and the container.
_GUARD = """
trap '' INT TERM HUP
read -r _ && exit 0
kill -TERM 0
for try in 1 2 3 4 5; do "$0" kill "$1"; "$0" rm --force --volumes "$1"; sleep 1; done
"""


@dataclass(frozen=True)
class Engine:
    """A container engine that answers.

    Attributes:
        path: Its command line client.
        network: What `--network` is given; None: the engine's default.
    """

    path: str
    network: str | None = None

    @property
    def name(self) -> str:
        """Podman or docker."""
        return Path(self.path).name

    async def call(
        self, *arguments: str, group: int = 0, variables: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Run the client; Ctrl-C in a terminal does not reach it.

        Args:
            group: Process group that it joins; 0: one of its own.
            variables: Added to its environment.

        Returns:
            Exit code, standard output, standard error.
        """
        process = await asyncio.create_subprocess_exec(
            self.path,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(variables or {})},
            process_group=group,
        )
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


@dataclass(frozen=True)
class Container:
    """What to run.

    Attributes:
        image: Name or id of one that is there already; `pull.Images` sees to it.
        command: What to execute; the image's own entry point is not used, as on a cluster.
        environment: Added to the image's.
        labels: By which a person finds it.
        user: `UID[:GID]`; None: as the image says.
        cpus: Most cores; None: no limit.
        memory_bytes: Most memory; None: no limit.
    """

    image: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    labels: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    cpus: float | None = None
    memory_bytes: int | None = None


Look = Callable[[Engine, str], Awaitable[None]]
"""Called with the name of a container that has ended and is there still."""


@dataclass(frozen=True)
class Ended:
    """How a container ended.

    Attributes:
        is_started: False: the command could not be executed at all.
        message: What the engine says of it; docker alone does.
    """

    exit_code: int
    is_out_of_memory: bool
    is_started: bool
    message: str = ""


async def find_engine(wanted: str | None = None, network: str | None = None) -> Engine:
    """Return the container engine that answers: podman, else docker.

    Args:
        wanted: Name or path of the one to use; None: either.
        network: What `--network` is given; None: the engine's default.

    Raises:
        ConfigurationError: None of them is installed and answers; says why.
    """
    reasons = []
    for name in (wanted,) if wanted else ENGINES:
        path = shutil.which(name)
        reason = await _why_not(Engine(path)) if path else "not installed"
        if path and reason is None:
            return Engine(path, network)
        reasons.append(f"{name}: {reason}")
    raise ConfigurationError(
        f"container engine: got none ({'; '.join(reasons)}), want podman or docker that answers"
    )


async def run_container(
    engine: Engine,
    container: Container,
    log_path: Path,
    on_start: Started,
    look: Look | None = None,
) -> Ended:
    """Run a container to its end, its output going to a log file as it comes.

    Cancelling stops it: SIGTERM, and SIGKILL after `GRACE_SECONDS`.

    Args:
        look: Called before the container is removed, if its command could be executed.

    Raises:
        InputError: The engine refuses to make it: a mount, a limit or the user is wrong.
        InfrastructureError: The engine did not tell how it ended.
    """
    name = f"dalsegno-{os.urandom(8).hex()}"
    async with _guarded(engine, name) as group, logged(log_path) as output:
        await _create(engine, container, name, group)
        await _start(engine, name, group, output, on_start)
        ended = await _inspect(engine, name)
        if look and ended.is_started:
            await look(engine, name)
        return ended


def last_line(text: str) -> str:
    """Shorten what a program said to its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][-_SHOWN:] if lines else "no word"


async def _why_not(engine: Engine) -> str | None:
    asked = ("info", "--format", "{{.Host.OS}}")
    if engine.name == "docker":
        asked = ("version", "--format", "{{.Server.Version}}")
    try:
        code, _, err = await asyncio.wait_for(engine.call(*asked), _PROBE_SECONDS)
    except TimeoutError:
        return f"no answer in {_PROBE_SECONDS} s"
    except OSError as error:
        return str(error)
    return None if code == 0 else last_line(err)


async def _create(engine: Engine, container: Container, name: str, group: int) -> None:
    first, *rest = container.command
    arguments = ["create", "--name", name, "--pull", "never", "--log-driver", "none"]
    arguments += ["--security-opt", "label=disable"]  # else SELinux hides what is mounted
    arguments += [f"--label={key}={value}" for key, value in container.labels.items()]
    arguments += [f"--mount={_mount(mount)}" for mount in container.mounts]
    named = {key: not _READ_BY_CLIENTS.fullmatch(key) for key in container.environment}
    for key, value in container.environment.items():
        arguments += ["--env", key if named[key] else f"{key}={value}"]
    arguments += [f"--network={engine.network}"] if engine.network else []
    arguments += [f"--user={container.user}"] if container.user else []
    arguments += [f"--cpus={container.cpus:g}"] if container.cpus else []
    if container.memory_bytes:
        size = f"{container.memory_bytes}b"
        arguments += [f"--memory={size}", f"--memory-swap={size}"]
    arguments += ["--entrypoint", json.dumps([first]) if engine.name == "podman" else first]
    # Values go through the client's environment, as a command line is there for all to read.
    variables = {key: value for key, value in container.environment.items() if named[key]}
    code, _, err = await engine.call(
        *arguments, container.image, *rest, group=group, variables=variables
    )
    if code:
        raise InputError(f"container: {engine.name} refuses it: {last_line(err)}")


async def _start(engine: Engine, name: str, group: int, output: Output, on_start: Started) -> None:
    process = await asyncio.create_subprocess_exec(
        engine.path,
        *("start", "--attach", name),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output.fd,
        stderr=output.fd,
        process_group=group,
        cwd=tempfile.gettempdir(),  # podman's monitor leaves a file `oom` where it stands
    )
    output.leave()
    try:
        await on_start(process.pid)
        await process.wait()
    finally:
        if process.returncode is None:
            await _finish(engine.call("stop", "-t", str(GRACE_SECONDS), name))
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def _inspect(engine: Engine, name: str) -> Ended:
    code, out, err = await engine.call("container", "inspect", "--format", "{{json .State}}", name)
    state: dict[str, Any] = json.loads(out) if code == 0 else {}
    status = str(state.get("Status"))
    if status not in _AT_REST:
        said = status if state else last_line(err)
        raise InfrastructureError(f"container: {engine.name} says {said!r}, want its exit code")
    is_started = status in {"exited", "stopped"} and not state.get("Error")
    exit_code = int(state["ExitCode"])
    return Ended(
        exit_code if is_started else exit_code or _NOT_STARTED,
        bool(state.get("OOMKilled")),
        is_started,
        last_line(str(state["Error"])) if state.get("Error") else "",
    )


@contextlib.asynccontextmanager
async def _guarded(engine: Engine, name: str) -> AsyncIterator[int]:
    """Remove a container after this block, even if this process does not live to see its end.

    Yields:
        Process group for the clients that work on the container.
    """
    guard = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", _GUARD, engine.path, name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        process_group=0,
    )
    try:
        yield guard.pid
    finally:
        await _finish(_release(engine, name, guard))


async def _release(engine: Engine, name: str, guard: asyncio.subprocess.Process) -> None:
    await engine.call("rm", "--force", "--volumes", name)
    await guard.communicate(b"done\n")


async def _finish(work: Coroutine[Any, Any, Any]) -> None:
    """Do something to its end, even while being cancelled."""
    await asyncio.shield(asyncio.ensure_future(work))


def _mount(mount: Mount) -> str:
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    fields += ["readonly"] if mount.is_read_only else []
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(fields)
    return written.getvalue()
