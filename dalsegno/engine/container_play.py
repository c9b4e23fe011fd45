"""Plays a task in its image, as KFP's launcher does in a pod.

The user is the image's own. What that user leaves behind belongs to whoever started the run: files
of another owner are handed over when the container has ended.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dalsegno.engine.container import Container, Ended, Engine, last_line, run_container
from dalsegno.engine.launcher import command_line, left_over
from dalsegno.engine.layout import (
    arrange,
    close,
    container_path,
    host_path,
    host_uri,
    outputs_on_host,
)
from dalsegno.engine.log import BoundedLog
from dalsegno.engine.play import Mount, Outcome, Play, Started
from dalsegno.engine.pull import Images
from dalsegno.engine.quantity import accelerator, limits
from dalsegno.errors import InfrastructureError, InputError, NotFoundError

CONTAINER_FAILED = "ContainerFailed"
"""Type of the error of a container that ended by itself."""

_TAIL_BYTES = 4096
_BY_SIGKILL, _KILLED = 137, " by SIGKILL (out of memory?)"
_PREAMBLE = re.compile(r"^.*(unable to start container process|unable to start container \S+): ")


async def play_container(work: Play, images: Images, on_start: Started) -> Outcome:
    """Play one attempt of a task in a container.

    Args:
        work: Its `local` outputs are changed to where the container's outputs are on this machine.

    Raises:
        NotFoundError: The image is not there.
        InputError: The command, a limit or a mount is wrong.
        InfrastructureError: The container engine failed.
    """
    run, _, task = work.name.rpartition("/")[0].partition("/")
    try:
        image = await images.ensure(work.image)
        inside, mounts = arrange(work)
        line = command_line(work.command, work.args, inside, work.component)
        cpus, memory_bytes = limits(work.resources, inside)
    except (InputError, NotFoundError) as error:
        raise type(error)(f"task {task!r}: {error}", error.next_command) from error
    _note(work, line, inside)
    container = Container(
        image=image,
        command=line,
        environment=work.environment,
        mounts=mounts,
        labels={"dalsegno.run": run, "dalsegno.task": task},
        user=work.user,
        cpus=cpus,
        memory_bytes=memory_bytes,
    )
    bringer = _Bringer(work, mounts)
    try:
        ended = await run_container(
            images.engine, container, work.log_path, on_start, bringer.fetch
        )
    finally:
        await _hand_over(images.engine, image, _written_folders(mounts))
        close(work)
    work.local["outputs"] = outputs_on_host(work)
    failure = _failure(ended, work, memory_bytes)
    if not failure:
        for path in _output_paths(work.local["outputs"]):
            _refuse_links(path)
    return Outcome(ended.exit_code, None, failure, None if failure else bringer.written)


class _Bringer:
    """Brings a task's executor output, in which paths are the container's, to this machine."""

    def __init__(self, work: Play, mounts: list[Mount]) -> None:
        self.work = work
        self.mounts = mounts
        self.written: dict[str, Any] = {}

    async def fetch(self, engine: Engine, name: str) -> None:
        """Read what the task wrote, and copy out the artifacts that lie in no mount."""
        path = Path(self.work.local["outputs"]["outputFile"])
        _refuse_links(path)
        if not path.exists():
            return
        try:
            self.written = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise InputError(f"executor output: got {error}, want JSON") from error
        for number, artifact in enumerate(self._artifacts()):
            await self._localise(engine, name, artifact, number)

    async def _localise(
        self, engine: Engine, name: str, artifact: dict[str, Any], number: int
    ) -> None:
        custom = artifact.pop("customPath", None) or artifact.get("custom_path")
        uri = artifact.get("uri", "")
        path = custom or container_path(uri) or (uri if uri.startswith("/") else None)
        if path is None:
            return
        here = host_path(path, self.mounts) or await self._copy(engine, name, path, number)
        _refuse_links(here)
        if custom:
            artifact["custom_path"], artifact["uri"] = str(here), host_uri(uri)
        else:
            artifact["uri"] = str(here)

    async def _copy(self, engine: Engine, name: str, path: str, number: int) -> Path:
        target = self.work.scratch / "copied" / str(number)
        target.parent.mkdir(parents=True, exist_ok=True)
        await engine.call("cp", f"{name}:{path}", str(target))  # nothing there: an output is not
        return target

    def _artifacts(self) -> Iterator[dict[str, Any]]:
        for found in self.written.get("artifacts", {}).values():
            yield from found.get("artifacts", [])


def _output_paths(outputs: dict[str, Any]) -> Iterator[Path]:
    for parameter in outputs["parameters"].values():
        yield Path(parameter["outputFile"])
    for found in outputs["artifacts"].values():
        yield from (Path(item["uri"]) for item in found["artifacts"])


def _refuse_links(path: Path) -> None:
    """Refuse links that lead out of an output: in the container they lead elsewhere than here."""
    below = (Path(top, name) for top, *names in os.walk(path) for found in names for name in found)
    for entry in (path, *below):
        is_inside = entry != path and entry.resolve().is_relative_to(path.resolve())
        if entry.is_symlink() and not is_inside:
            raise InputError(f"output {entry.name!r}: got a link that leads out, want content")


def _note(work: Play, line: list[str], inside: dict[str, Any]) -> None:
    """Say in the log what a task might wonder about."""
    notes = [
        f"{placeholder} stays as it is, as on a cluster"
        for placeholder in left_over(line, inside["inputs"].get("parameterValues", {}))
    ]
    wanted = accelerator(work.resources, inside)
    notes += [f"{wanted}: a container here gets no accelerator"] if wanted else []
    with BoundedLog(work.log_path) as log:
        for note in notes:
            log.note(note)


def _failure(ended: Ended, work: Play, memory_bytes: int | None) -> dict[str, Any] | None:
    if not ended.exit_code:
        return None
    said = _last_words(work.log_path)
    if not ended.is_started:
        said = _PREAMBLE.sub("", ended.message or said)
        return {"type": "ContainerNotStarted", "message": f"the container did not start: {said}"}
    if ended.is_out_of_memory:
        size = f" of {memory_bytes / 2**20:.0f} MiB" if memory_bytes else ""
        message = f"the container was ended by SIGKILL: it used more than its limit{size}"
        return {"type": "OutOfMemory", "message": message}
    killed = _KILLED if ended.exit_code == _BY_SIGKILL else ""
    size = f", its limit is {memory_bytes / 2**20:.0f} MiB" if killed and memory_bytes else ""
    message = f"the container ended with exit code {ended.exit_code}{killed}{size}"
    return {"type": CONTAINER_FAILED, "message": f"{message}: {said}" if said else message}


def _last_words(log_path: Path) -> str:
    with log_path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
        text = log.read().decode(errors="replace")
    if text.strip():
        return last_line(text)
    is_full = not shutil.disk_usage(log_path).free  # then what was said could not be kept
    return os.strerror(errno.ENOSPC) if is_full else ""


def _written_folders(mounts: list[Mount]) -> list[Path]:
    return [mount.source for mount in mounts if not mount.is_read_only and mount.source.is_dir()]


async def _hand_over(engine: Engine, image: str, folders: list[Path]) -> None:
    """Make what a container wrote belong to this process' user."""
    foreign = [folder for folder in folders if _has_foreign(folder)]
    if foreign:
        code, _, err = await _change_owner(engine, image, foreign)
        if code:
            raise InfrastructureError(
                f"outputs: got files of another owner in {foreign[0]} ({last_line(err)}), "
                "want them readable",
                f"sudo chown -R {os.geteuid()} {foreign[0]}",
            )


def _has_foreign(folder: Path) -> bool:
    if os.geteuid() == 0:  # root can read and remove whatever there is
        return False
    below = (
        Path(top, name) for top, *names in os.walk(folder) for found in names for name in found
    )
    return any(entry.lstat().st_uid != os.geteuid() for entry in below)


async def _change_owner(engine: Engine, image: str, folders: list[Path]) -> tuple[int, str, str]:
    paths = [str(folder) for folder in folders]
    if engine.name == "podman":  # rootless: in its user namespace we are root
        return await engine.call("unshare", "chown", "-R", "0:0", *paths)
    mounts = [f"--volume={path}:{path}" for path in paths]
    owner = f"{os.geteuid()}:{os.getegid()}"
    options = ("--rm", "--network", "none", "--user", "0", "--entrypoint", "chown")
    return await engine.call("run", *options, *mounts, image, "-R", owner, *paths)
