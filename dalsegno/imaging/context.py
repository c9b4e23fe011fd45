"""The build context: the files that go into an image, and the digest that tells them apart."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from dalsegno.errors import ConfigurationError

ROOT = Path(__file__).parent.parent.parent
IGNORE_FILE = ".dockerignore"
_TAG_LENGTH = 16


def context_files(root: Path = ROOT) -> list[PurePosixPath]:
    """List the files that `.dockerignore` lets into an image, in order.

    Raises:
        ConfigurationError: This is an installed package, not a checkout.
    """
    try:
        lines = (root / IGNORE_FILE).read_text("utf-8").splitlines()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"build context: got no {IGNORE_FILE} in {root}, want a checkout of the sources",
            "dalsegno compile --image-prefix PREFIX --tag TAG",
        ) from error
    wanted = [line.removeprefix("!") for line in lines if line.startswith("!")]
    unwanted = {line.removeprefix("**/") for line in lines if line.startswith("**/")}
    found = (path for name in wanted for path in _files(root / name))
    relative = (PurePosixPath(path.relative_to(root).as_posix()) for path in found)
    return sorted(path for path in relative if not _is_ignored(path, unwanted))


def context_tag(root: Path = ROOT) -> str:
    """Name the build context by its content: the same files give the same tag anywhere.

    Returns:
        The first 16 hexadecimal digits of a SHA-256 over names and contents.
    """
    digest = hashlib.sha256()
    for path in context_files(root):
        content = (root / path).read_bytes()
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:_TAG_LENGTH]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return [item for item in path.rglob("*") if item.is_file()]
    if not path.is_file():
        raise ConfigurationError(f"build context: got no {path}, want what {IGNORE_FILE} names")
    return [path]


def _is_ignored(path: PurePosixPath, patterns: set[str]) -> bool:
    return any(PurePosixPath(part).match(pattern) for part in path.parts for pattern in patterns)
