"""What platform settings mean on this machine: variables, folders, a time limit, a user."""

from __future__ import annotations

import os
import re
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dalsegno.engine.keyed_values import KeyedValues
from dalsegno.engine.platform import CLAIM, EMPTY, SECRET, Settings, Volume
from dalsegno.engine.play import Mount, Play
from dalsegno.engine.volumes import Volumes
from dalsegno.errors import InputError
from dalsegno.store import Store

NAMESPACE, SERVICE_ACCOUNT = "kubeflow", "pipeline-runner"
_LABEL_PATH = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(frozen=True)
class Folders:
    """Where a person keeps what a cluster would have.

    Attributes:
        secrets: One folder or `.env` file a secret.
        config_maps: The same for config maps.
        volumes: One folder a persistent volume claim; None: in the store's folder.
    """

    secrets: Path = Path("secrets")
    config_maps: Path = Path("configmaps")
    volumes: Path | None = None


class LocalPlatform:
    """Gives the tasks of one run what their platform settings ask for.

    Args:
        tell: Takes a line that a person should read once.
    """

    def __init__(self, folders: Folders, store: Store, tell: Callable[[str], None]) -> None:
        here = Path(".dalsegno") if "://" in store.uri else Path(store.uri)
        secrets, config_maps = folders.secrets.absolute(), folders.config_maps.absolute()
        self.secrets = KeyedValues("secret", secrets, "DALSEGNO_SECRETS_DIR")
        self.config_maps = KeyedValues("config map", config_maps, "DALSEGNO_CONFIG_MAPS_DIR")
        self.volumes = Volumes((folders.volumes or here / "volumes").absolute())
        self.tell = tell

    def apply(self, work: Play, settings: Settings) -> None:
        """Add what the settings ask for to an attempt.

        Raises:
            NotFoundError: A secret or config map is not there.
            InputError: A name, key or field path cannot be one.
        """
        work.environment.update(self.variables(settings, work.name))
        work.mounts += self.mounts(settings, work.scratch / "volumes")
        work.timeout_seconds = settings.timeout_seconds or work.timeout_seconds
        work.user = settings.user or work.user

    def variables(self, settings: Settings, name: str) -> dict[str, str]:
        """Return the variables that the settings add, values of secrets among them.

        Args:
            name: `RUN/TASK/ATTEMPT`.

        Raises:
            NotFoundError: A secret or config map is not there.
            InputError: A name, key or field path cannot be one.
        """
        found = {}
        for item in settings.variables:
            source = self._values(item.kind)
            value = source.value(item.name, item.key, is_optional=item.is_optional)
            if value is not None:
                found[item.variable] = value
                self._warn_of_newline(f"{item.kind} {item.name!r}, key {item.key!r}", value)
        for variable, field_path in settings.field_paths.items():
            found[variable] = field_value(field_path, name, settings)
        return found

    def mounts(self, settings: Settings, scratch: Path) -> list[Mount]:
        """Return the folders that the settings put at paths of the task.

        Args:
            scratch: Folder for those made for the task alone; values of secrets among them.

        Raises:
            NotFoundError: A secret or config map is not there.
            InputError: A name or path cannot be one.
        """
        found = []
        for number, volume in enumerate(settings.volumes):
            target = _checked(volume.mount_path)
            folder = self._folder(volume, scratch / str(number))
            found.append(Mount(folder, target, volume.kind not in {CLAIM, EMPTY}))
        return found

    def _values(self, kind: str) -> KeyedValues:
        return self.secrets if kind == SECRET else self.config_maps

    def _folder(self, volume: Volume, scratch: Path) -> Path:
        if volume.kind == EMPTY:
            scratch.mkdir(parents=True)
            return scratch
        if volume.kind == CLAIM:
            path, is_new = self.volumes.path_of(volume.name, volume.sub_path)
            if is_new:
                self.tell(f"volume {volume.name!r} was not there and starts empty: {path}")
            return path
        source = self._values(volume.kind)
        return source.files(volume.name, scratch, is_optional=volume.is_optional)

    def _warn_of_newline(self, subject: str, value: str) -> None:
        if value.endswith("\n"):
            self.tell(f"{subject} ends in a newline, which is part of its value, as on a cluster")


def _checked(mount_path: str) -> str:
    path = os.path.normpath(mount_path)
    if not mount_path.startswith("/") or not path.strip("/") or ":" in path:
        raise InputError(f"mount path: got {mount_path!r}, want an absolute one, not / or with ':'")
    return "/" + path.lstrip("/")


def field_value(field_path: str, name: str, settings: Settings) -> str:
    """Return what a field of the task's pod would hold, made up where there is no pod.

    Args:
        field_path: As the downward API writes it, `metadata.name` say.
        name: `RUN/TASK/ATTEMPT`.

    Raises:
        InputError: A pod has no such field, or none that a variable can take.
    """
    pod = re.sub(r"[^a-z0-9-]+", "-", name.lower())[-63:].strip("-")
    known = {
        "metadata.name": pod,
        "metadata.namespace": NAMESPACE,
        "metadata.uid": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "spec.nodeName": socket.gethostname(),
        "spec.serviceAccountName": SERVICE_ACCOUNT,
        "status.hostIP": "127.0.0.1",
        "status.hostIPs": "127.0.0.1",
        "status.podIP": "127.0.0.1",
        "status.podIPs": "127.0.0.1",
    }
    if found := _LABEL_PATH.fullmatch(field_path):
        labels = {"pipeline/runid": name.partition("/")[0], **settings.labels}
        group = labels if found[1] == "labels" else settings.annotations
        return group.get(found[2], "")
    if field_path not in known:
        raise InputError(f"field path: got {field_path!r}, want one of {', '.join(known)}")
    return known[field_path]
