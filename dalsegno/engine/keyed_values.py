"""Secrets and config maps of a cluster, kept as files on this machine.

A secret `NAME` is a folder `NAME/` with one file a key, as `kubectl create secret generic NAME
--from-file=NAME/` reads it, or a file `NAME.env` with `KEY=VALUE` lines (quotes around a value and
`export` before a key are dropped, as a shell would). The values go to the task and nowhere else:
never into an error, a record or a log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dalsegno.errors import InputError, NotFoundError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


@dataclass(frozen=True)
class KeyedValues:
    """All secrets, or all config maps.

    Attributes:
        kind: `secret` or `config map`, for messages.
        folder: Where they are; absolute.
        setting: Environment name that moves the folder.
    """

    kind: str
    folder: Path
    setting: str

    def value(self, name: str, key: str, *, is_optional: bool = False) -> str | None:
        """Return the value of one key as an environment variable gets it.

        Returns:
            None if it is not there and optional.

        Raises:
            NotFoundError: It is not there.
            InputError: The name or key cannot be one, or the value is no text.
        """
        _check_key(self.kind, key)
        values = self._all(name)
        if key not in values:
            if is_optional:
                return None
            known = f" (its keys: {', '.join(sorted(values))})" if values else ""
            raise self._missing(name, f", key {key!r}", f"{name}/{key}", known)
        try:
            text = values[key].decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise InputError(
                f"{self.kind} {name!r}, key {key!r}: got bytes that are no text, "
                "want UTF-8 without NUL for an environment variable"
            )
        return text

    def files(self, name: str, copy_to: Path, *, is_optional: bool = False) -> Path:
        """Return a folder with one file a key, as a volume of it would show.

        Args:
            copy_to: Folder to make where the values are not a folder already.

        Raises:
            NotFoundError: It is not there, and not optional.
        """
        folder = self.folder / check_name(self.kind, name)
        if folder.is_dir():
            return folder.resolve()
        values = self._all(name)
        if not values and not is_optional:
            raise self._missing(name, "", f"{name}/")
        copy_to.mkdir(parents=True, mode=0o755)
        for key, value in values.items():
            (copy_to / key).write_bytes(value)
        return copy_to

    def _all(self, name: str) -> dict[str, bytes]:
        folder = self.folder / check_name(self.kind, name)
        if folder.is_dir():
            return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        file = self.folder / f"{name}.env"
        return _read_env_file(file) if file.is_file() else {}

    def _missing(self, name: str, key: str, path: str, known: str = "") -> NotFoundError:
        return NotFoundError(
            f"{self.kind} {name!r}{key}: got nothing at {self.folder / path} or in "
            f"{self.folder / name}.env{known}, want a value ({self.setting} moves the folder)",
            f"mkdir -p {self.folder / name}",
        )


def check_name(kind: str, name: str) -> str:
    """Refuse what Kubernetes would not take as the name of an object (or a path that escapes).

    Raises:
        InputError: It holds anything but lower-case letters, digits, `-` and `.`.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise InputError(
            f"{kind}: got the name {name[:60]!r}, want lower-case letters, digits, '-' and '.'"
        )
    return name


def _check_key(kind: str, key: str) -> None:
    if not _KEY.fullmatch(key) or key in {".", ".."}:
        raise InputError(f"{kind}: got the key {key[:60]!r}, want letters, digits, '-', '_', '.'")


def _read_env_file(path: Path) -> dict[str, bytes]:
    values = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        key, separator, value = text.partition("=")
        if not separator or not _KEY.fullmatch(key.strip()):  # may be part of a value: not shown
            raise InputError(f"{path}, line {number}: got something else, want KEY=VALUE")
        values[key.strip()] = _unquoted(value.strip()).encode()
    return values


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value
