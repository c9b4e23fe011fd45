"""Plays a capsule in a container of the task's image, its inputs where the launcher has them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dalsegno.cluster.log_text import error_in
from dalsegno.engine.container import Engine, find_engine
from dalsegno.engine.container_play import CONTAINER_FAILED, play_container
from dalsegno.engine.launcher import resolve_text
from dalsegno.engine.masking import masked, secrets_in
from dalsegno.engine.placeholders import WORKSPACE
from dalsegno.engine.play import Mount, Outcome, Play
from dalsegno.engine.pull import Images, mapped
from dalsegno.errors import ConfigurationError, NotFoundError
from dalsegno.replay.capsule import Capsule
from dalsegno.replay.outcome import Replayed, new_replay, write_outcome
from dalsegno.replay.places import executor_input_of, inputs_of, outputs_in
from dalsegno.replay.play import WORKSPACE_FOLDER, with_outputs
from dalsegno.replay.surroundings import VOLUMES_FOLDER, apply_platform
from dalsegno.store.base import remove

Error = dict[str, Any]

_POLL_SECONDS = 0.1


def play_in_container(
    capsule: Capsule,
    image_map: Mapping[str, str],
    tell: Callable[[str], None],
    *,
    engine: str | None = None,
    network: str | None = None,
) -> Replayed:
    """Play a capsule with the task's own image, command and environment.

    Args:
        image_map: Images to use instead of others, by name or pattern.
        tell: Told, in a line, what is not to be had.
        engine: `podman` or `docker`; None: whichever answers.
        network: Of the container; None: the engine's default.

    Raises:
        ConfigurationError: No container engine answers.
        NotFoundError: The image is gone.
        InputError: The command or a mount is wrong.
    """
    images = Images(_engine(engine, network))
    image = _image(capsule, image_map)
    _ensure(images, image, capsule)
    number, folder = new_replay(capsule.folder)
    started = Replayed(number, folder, "container")
    work = _work(capsule, started, image)
    begun = time.monotonic()
    try:
        apply_platform(work, capsule, tell)
        with followed(started.log):
            ended = asyncio.run(_play(work, images))
        secrets = secrets_in(capsule.record.platform, work.environment, work.mounts)
        error = masked(_as_recorded(ended.error, capsule, started.log), secrets)
        error = {**error, "source_line": None} if error else None
        seconds = time.monotonic() - begun
        outcome = replace(started, error=error, exit_code=ended.exit_code, seconds=seconds)
        outcome = with_outputs(outcome, capsule, work.local, ended.written)
    finally:
        remove(work.scratch / "container")
        remove(work.scratch / VOLUMES_FOLDER)
    write_outcome(outcome)
    return outcome


def _as_recorded(error: Error | None, capsule: Capsule, log: Path) -> Error | None:
    """Return what a Python component raised, by its log, where the record knows a line of it."""
    is_raised = bool((capsule.record.error or {}).get("line"))
    if not error or not is_raised or error["type"] != CONTAINER_FAILED:
        return error
    return error_in(log.read_text(errors="replace")) or error


def _engine(wanted: str | None, network: str | None) -> Engine:
    try:
        return asyncio.run(find_engine(wanted, network))
    except ConfigurationError as error:
        raise ConfigurationError(str(error), "sudo apt-get install podman") from error


def _image(capsule: Capsule, image_map: Mapping[str, str]) -> str:
    """Return the image to use: as mapped now, else what the run used, else what it was given."""
    record = capsule.record
    named = resolve_text(record.image, record.executor_input)
    found = mapped(named, image_map)
    return (record.image_used or found) if found == named else found


def _ensure(images: Images, image: str, capsule: Capsule) -> None:
    """Look for the image before anything is written."""
    try:
        asyncio.run(images.ensure(image))
    except NotFoundError as error:
        command = f"dalsegno replay {capsule.manifest.address} --in container"
        raise NotFoundError(str(error), f"{command} --image-map {image}=IMAGE") from error


def _work(capsule: Capsule, started: Replayed, image: str) -> Play:
    record = capsule.record
    workspace = started.folder / WORKSPACE_FOLDER
    workspace.mkdir()
    local = {
        "inputs": inputs_of(capsule),
        "outputs": outputs_in(capsule, started.folder / "outputs"),
    }
    return Play(
        name=capsule.manifest.address,
        image=image,
        command=record.command,
        args=record.args,
        component=record.component_spec,
        executor_input=executor_input_of(capsule),
        local=local,
        environment=dict(record.environment),
        host_environment={},
        scratch=started.folder,
        log_path=started.log,
        mounts=[Mount(workspace, WORKSPACE)],
    )


async def _play(work: Play, images: Images) -> Outcome:
    async def started(_: int) -> None:
        return

    return await play_container(work, images, started)


@contextlib.contextmanager
def followed(path: Path) -> Iterator[None]:
    """Show a file while it grows."""
    path.touch()
    ended = threading.Event()

    def follow() -> None:
        with path.open("r", encoding="utf-8", errors="backslashreplace") as file:
            while True:
                is_last = ended.wait(_POLL_SECONDS)
                sys.stderr.write(file.read())
                sys.stderr.flush()
                if is_last:
                    return

    thread = threading.Thread(target=follow, name="log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
