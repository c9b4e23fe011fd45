"""Persistent volume claims as folders of this machine."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dalsegno.engine.keyed_values import check_name
from dalsegno.errors import ConflictError, InputError, NotFoundError

CREATE, DELETE = "argostub/createpvc", "argostub/deletepvc"  # images of KFP's that never run
_KIND = "volume"


@dataclass
class Volumes:
    """The claims that the tasks of one run can mount.

    Attributes:
        folder: One folder a claim; claims outlive the run, as on a cluster.
        created: Those that this run made: the only ones that it may delete.
    """

    folder: Path
    created: set[str] = field(default_factory=set)

    def create(self, parameters: dict[str, Any]) -> str:
        """Make a claim as `createPVC` of KFP's driver does, and return its name.

        Args:
            parameters: Inputs of the task; size, access modes and class mean nothing here.

        Raises:
            InputError: Both a name and a suffix are given.
            ConflictError: There is one of that name.
        """
        name, suffix = parameters.get("pvc_name"), parameters.get("pvc_name_suffix")
        if name and suffix:
            raise InputError(
                f"{_KIND}: got pvc_name {name!r} and pvc_name_suffix {suffix!r}, want one of them"
            )
        name = check_name(_KIND, name or f"{uuid.uuid4()}{suffix or ''}")
        path = self.folder / name
        try:
            path.mkdir(parents=True)
        except FileExistsError as error:
            raise ConflictError(
                f"{_KIND} {name!r}: got one already at {path}, want a new one, as on a cluster",
                f"rm -r {path}",
            ) from error
        self.created.add(name)
        return name

    def delete(self, name: str) -> str | None:
        """Delete a claim if this run made it.

        Returns:
            Why it was left where it is; None when it is gone.

        Raises:
            NotFoundError: There is none of that name.
        """
        path = self.folder / check_name(_KIND, name)
        if not path.is_dir():
            raise NotFoundError(f"{_KIND} {name!r}: got nothing at {path}, want one to delete")
        if name not in self.created:
            return f"{_KIND} {name!r} was not made by this run, so it stays: {path}"
        shutil.rmtree(path)
        self.created.discard(name)
        return None

    def path_of(self, name: str, sub_path: str = "") -> tuple[Path, bool]:
        """Return the folder of a claim, or of a path in it, and whether it had to be made.

        Raises:
            InputError: The name is none, or the path leads out of the claim.
        """
        path = self.folder / check_name(_KIND, name)
        is_new = not path.exists()
        inner = (path / sub_path).resolve()
        if Path(sub_path).is_absolute() or not inner.is_relative_to(path.resolve()):
            raise InputError(f"{_KIND} {name!r}: got sub_path {sub_path!r}, want one inside of it")
        inner.mkdir(parents=True, exist_ok=True)
        return inner, is_new
