"""Keys and names, checked where they enter: what passes here cannot leave a store's root."""

from __future__ import annotations

import re

from dalsegno.errors import InputError

SCRATCH = ".tmp"
"""First part that no key may have: where a folder store prepares what it writes."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9_-])?")
_MAX_KEY_BYTES = 900  # S3 and GCS allow 1,024 together with the store's own prefix
_MAX_PART_BYTES = 240  # file systems allow 255


def check_key(key: str) -> str:
    """Return the key if it names one object below a store's root.

    Args:
        key: Parts joined by `/`, none of them empty, `.` or `..`.

    Raises:
        InputError: The key is empty, absolute, too long, or has a part that is not allowed.
    """
    problem = _problem(key)
    if problem:
        raise InputError(f"key {key[:60]!r}: got {problem}, want parts joined by '/'")
    return key


def check_prefix(prefix: str) -> str:
    """Return a folder of keys as the prefix of its objects: `""`, or a key with one `/` behind it.

    Raises:
        InputError: The prefix is neither empty nor a key.
    """
    return f"{check_key(prefix.removesuffix('/'))}/" if prefix else ""


def check_name(name: str, subject: str = "name") -> str:
    """Return the name if it can be one part of a key and one word of a command line.

    Args:
        name: Name of a data set, endpoint, run or model.
        subject: What is being named, for the error.

    Raises:
        InputError: The name has characters other than letters, digits, `.`, `_` and `-`.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        want = "letters, digits, '.', '_', '-', at most 128, a letter or digit first"
        raise InputError(f"{subject}: got {name[:60]!r}, want {want}")
    return name


def _problem(key: str) -> str | None:
    parts = key.split("/")
    if not key or key.startswith("/"):
        return "an absolute path" if key else "nothing"
    if "" in parts:
        return "an empty part"
    if "." in parts or ".." in parts:
        return "a part '.' or '..'"
    if parts[0] == SCRATCH:
        return f"the reserved first part '{SCRATCH}'"
    return _characters_problem(key) or _length_problem(parts)


def _characters_problem(key: str) -> str | None:
    if "\\" in key or any(ord(char) < ord(" ") or ord(char) == 0x7F for char in key):  # noqa: PLR2004
        return "a control character or backslash"
    if any("\ud800" <= char <= "\udfff" for char in key):
        return "a name that is not UTF-8"
    return None


def _length_problem(parts: list[str]) -> str | None:
    if len("/".join(parts).encode()) > _MAX_KEY_BYTES:
        return f"more than {_MAX_KEY_BYTES} bytes"
    if any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        return f"a part of more than {_MAX_PART_BYTES} bytes"
    return None
