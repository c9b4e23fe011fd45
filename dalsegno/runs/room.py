"""Space held on a disk, so that a run which finds it full can still write how it ended."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from dalsegno.errors import InfrastructureError

SIZE_BYTES = 2**20
_SLACK_BYTES = 2**16  # what a file system adds to a file: folders, whole blocks
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Room:
    """Holds space by a file without a name, so that it is free again however the process ends.

    Args:
        folder: Of the disk.

    Raises:
        InfrastructureError: There is not that much left.
    """

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] | None = None
        self._left = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (held until the end)
            os.posix_fallocate(self._file.fileno(), 0, SIZE_BYTES)
            self._left = SIZE_BYTES
        except (OSError, AttributeError) as error:  # a system that cannot hold it goes without
            if getattr(error, "errno", None) in _FULL:
                raise InfrastructureError(
                    f"store {folder}: got less than {SIZE_BYTES // 2**20} MiB of room, "
                    "want it for the records of a run",
                    f"df -h {folder}",
                ) from error

    def give_back(self, size_bytes: int) -> bool:
        """Free some of the space for a file of that size; False where nothing is left."""
        if self._file is None or not self._left:
            return False
        self._left = max(0, self._left - size_bytes - _SLACK_BYTES)
        with suppress(OSError):
            self._file.truncate(self._left)
        return True

    def close(self) -> None:
        """Free what is left of it."""
        if self._file:
            self._file.close()


def is_full(error: Exception) -> bool:
    """Whether a store could not write for want of space."""
    return getattr(error.__cause__, "errno", None) in _FULL
