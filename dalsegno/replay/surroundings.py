"""What a task had around it besides its inputs: secrets, config maps, volumes, pod fields.

A record has their names alone. Their values are looked up again here, for a task of a run of this
machine; a capsule from elsewhere gets none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dalsegno.errors import DalsegnoError
from dalsegno.replay.capsule import Capsule

if TYPE_CHECKING:
    from dalsegno.engine.local_platform import LocalPlatform
    from dalsegno.engine.play import Play


def platform_variables(capsule: Capsule, tell: Callable[[str], None]) -> dict[str, str]:
    """Return the variables that platform settings add to a task.

    Args:
        tell: Told, in a line, what is not to be had; the task then goes without.
    """
    if not capsule.record.platform:
        return {}
    from dalsegno.engine.platform import recorded_settings

    settings = recorded_settings(capsule.record.platform)
    if settings is None or not (settings.variables or settings.field_paths):
        return {}
    if capsule.manifest.store_uri is None:
        names = ", ".join(item.variable for item in settings.variables)
        tell(f"left out {names}: from secrets or config maps; set them here if the task needs them")
        return {}
    try:
        return _platform(tell).variables(settings, capsule.manifest.address)
    except DalsegnoError as error:
        tell(f"left out {error}")
        return {}


def apply_platform(work: Play, capsule: Capsule, tell: Callable[[str], None]) -> None:
    """Give a container what platform settings ask for."""
    from dalsegno.engine.platform import recorded_settings

    settings = recorded_settings(capsule.record.platform)
    if settings is None or capsule.manifest.store_uri is None:
        return
    try:
        _platform(tell).apply(work, settings)
    except DalsegnoError as error:
        tell(f"left out {error}")


def _platform(tell: Callable[[str], None]) -> LocalPlatform:
    from dalsegno.engine.local_platform import Folders, LocalPlatform
    from dalsegno.settings import load_settings, open_default_store

    settings = load_settings()
    folders = Folders(
        Path(settings.secrets_dir),
        Path(settings.config_maps_dir),
        Path(settings.volumes_dir) if settings.volumes_dir else None,
    )
    return LocalPlatform(folders, open_default_store(settings), tell)
