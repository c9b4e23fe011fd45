"""What a task had around it besides its inputs: secrets, config maps, volumes, pod fields.

A record has their names alone. Their values are looked up again here, for a task of a run of this
machine; a capsule from elsewhere gets none of them. What is missing is named, the rest is given.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalsegno.engine.play import Mount
from dalsegno.errors import DalsegnoError
from dalsegno.replay.capsule import Capsule

if TYPE_CHECKING:
    from dalsegno.engine.local_platform import LocalPlatform
    from dalsegno.engine.platform import Settings
    from dalsegno.engine.play import Play

VOLUMES_FOLDER = "volumes"
"""Folder of a replay for what is mounted, values of secrets among it; removed afterwards."""

_HANDED_ON = "_DALSEGNO_SURROUNDINGS"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Surroundings:
    """What a replay in a process gets.

    Attributes:
        variables: Those that platform settings add; some may be secret.
        mounts: Folders at paths of the task's own.
        root: Where a new root folder may be made for the mounts.
    """

    variables: dict[str, str] = field(default_factory=dict)
    mounts: list[Mount] = field(default_factory=list)
    root: Path | None = None

    def handed_on(self) -> dict[str, str]:
        """Return them as a variable for another interpreter, which may not have our packages."""
        fields = {**asdict(self), "root": self.root}
        return {_HANDED_ON: json.dumps(fields, default=str)}


def surroundings_of(
    capsule: Capsule, scratch: Path, tell: Tell, *, is_mounting: bool
) -> Surroundings:
    """Look up what a task had around it, for a replay in a process.

    Args:
        scratch: Folder that the caller removes after the replay.
        tell: Told, in a line, what is not to be had; the task then goes without.
        is_mounting: Whether the process can be given folders at paths of its own: a process with
            a debugger in it cannot.
    """
    variables = platform_variables(capsule, tell)
    if is_mounting:
        return Surroundings(variables, platform_mounts(capsule, scratch, tell), scratch / "root")
    tell_unmounted(capsule, tell)
    return Surroundings(variables)


def taken_over() -> Surroundings | None:
    """Return what another process handed on to this one; None if none did."""
    text = os.environ.pop(_HANDED_ON, None)
    if text is None:
        return None
    fields = json.loads(text)
    mounts = [Mount(**{**item, "source": Path(item["source"])}) for item in fields["mounts"]]
    return Surroundings(fields["variables"], mounts, Path(fields["root"] or "/"))


def enter(surroundings: Surroundings, kept: list[Path]) -> dict[str, Any] | None:
    """Put the folders at their paths for this process, which has one thread and ends afterwards.

    Args:
        kept: Paths that stay in sight where a mount would hide them.

    Returns:
        The error, in the form of an outcome, if this machine does not allow it.
    """
    if not surroundings.mounts or surroundings.root is None:
        return None
    from dalsegno.engine.mounts import own_paths
    from dalsegno.engine.worker import enter_mounts

    surroundings.root.mkdir(parents=True, exist_ok=True)
    paths = [*map(str, kept), str(Path.cwd()), *own_paths()]
    request = {
        "mounts": [{**vars(item), "source": str(item.source)} for item in surroundings.mounts],
        "root": str(surroundings.root),
        "kept": [path for path in dict.fromkeys(paths) if path.startswith("/")],
    }
    refused = enter_mounts(request)
    nowhere = {"file": None, "line": None, "function": None, "source_line": None}
    return {**nowhere, **refused} if refused else None


def platform_variables(capsule: Capsule, tell: Tell) -> dict[str, str]:
    """Return the variables that platform settings add to a task.

    Args:
        tell: Told, in a line, what is not to be had; the task then goes without.
    """
    settings = _settings(capsule, tell)
    if settings is None or not (settings.variables or settings.field_paths):
        return {}
    platform = _platform(tell) if capsule.manifest.store_uri is not None else None
    if platform is None:
        names = ", ".join([*(item.variable for item in settings.variables), *settings.field_paths])
        tell(f"left out {names}: from where the run was; set them here if the task needs them")
        return {}
    found: dict[str, str] = {}
    for part in _one_by_one(settings):
        try:
            found.update(platform.variables(part, capsule.manifest.address))
        except DalsegnoError as error:
            tell(f"left out {error}")
    return found


def platform_mounts(capsule: Capsule, scratch: Path, tell: Tell) -> list[Mount]:
    """Return the folders that platform settings put at paths of the task.

    Args:
        scratch: Folder for what is made for this replay alone.
        tell: Told, in a line, what is not to be had; the task then goes without.
    """
    settings = _settings(capsule, tell)
    if settings is None or not settings.volumes:
        return []
    from dalsegno.engine.platform import EMPTY

    platform = _platform(tell)
    mounts = []
    for number, volume in enumerate(settings.volumes):
        what = f"{volume.kind} {volume.name!r} at {volume.mount_path}"
        if platform is None or (capsule.manifest.store_uri is None and volume.kind != EMPTY):
            tell(f"left out {what}: it stayed where the run was")
            continue
        try:
            one = replace(settings, volumes=[volume])
            mounts += platform.mounts(one, scratch / str(number))
        except DalsegnoError as error:
            tell(f"left out {error}")
    return mounts


def tell_unmounted(capsule: Capsule, tell: Tell) -> None:
    """Say which folders a process goes without that cannot be given any."""
    volumes = capsule.record.platform.get("volumes", [])
    if volumes:
        what = ", ".join(
            f"{item['kind']} {item['name']!r} at {item['mount_path']}" for item in volumes
        )
        command = f"dalsegno replay {capsule.manifest.address} --in container"
        tell(f"left out {what}: not below a debugger; next: {command}")


def apply_platform(work: Play, capsule: Capsule, tell: Tell) -> None:
    """Give a container what platform settings ask for."""
    settings = _settings(capsule, tell)
    if settings is None:
        return
    work.environment.update(platform_variables(capsule, tell))
    work.mounts += platform_mounts(capsule, work.scratch / VOLUMES_FOLDER, tell)
    work.timeout_seconds = settings.timeout_seconds or work.timeout_seconds
    work.user = settings.user or work.user


def _settings(capsule: Capsule, tell: Tell) -> Settings | None:
    """Read the settings of a task; None where it had none, or where they cannot be read."""
    if not capsule.record.platform:
        return None
    try:
        from dalsegno.engine.platform import recorded_settings
    except ModuleNotFoundError:  # the interpreter of an image, started by an IDE
        tell("left out secrets, config maps and volumes: they are given by dalsegno replay alone")
        return None
    return recorded_settings(capsule.record.platform)


def _one_by_one(settings: Settings) -> list[Settings]:
    """Split settings by variable, so that one that is not to be had takes no other along."""
    bare = replace(settings, variables=[], field_paths={})
    paths: Mapping[str, str] = settings.field_paths
    return [
        *(replace(bare, variables=[item]) for item in settings.variables),
        *(replace(bare, field_paths={name: path}) for name, path in paths.items()),
    ]


def _platform(tell: Tell) -> LocalPlatform | None:
    """Return where secrets and volumes are looked up; None in an interpreter without settings."""
    try:
        from dalsegno.engine.local_platform import Folders, LocalPlatform
        from dalsegno.settings import load_settings, open_default_store
    except ModuleNotFoundError:
        return None

    settings = load_settings()
    folders = Folders(
        Path(settings.secrets_dir),
        Path(settings.config_maps_dir),
        Path(settings.volumes_dir) if settings.volumes_dir else None,
    )
    return LocalPlatform(folders, open_default_store(settings), tell)
