"""The packages of a task's image, in an environment of uv's that is made once and kept.

For our own images it is made from their hashed lock, `requirements/<family>.txt`; for any other
image from what the component itself installs when it starts.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path

from dalsegno.engine.packages import environments_dir, make_environment, packages_of
from dalsegno.errors import ConfigurationError, InputError
from dalsegno.images import FAMILIES
from dalsegno.replay.capsule import Capsule
from dalsegno.replay.log import ignore
from dalsegno.replay.outcome import Replayed
from dalsegno.replay.supervise import kept_outcome
from dalsegno.replay.surroundings import surroundings_of
from dalsegno.store.base import landing

_STOPPED = 130
_CODE = ("dalsegno", "components", "debugpy")  # what a replay needs besides the image's packages


def image_python(capsule: Capsule, tell: Callable[[str], None]) -> Path:
    """Return the interpreter of an environment with the packages of the task's image.

    Raises:
        ConfigurationError: The packages cannot be had.
        InputError: Nothing says what the image holds.
    """
    packages = packages_of(capsule.record.command)
    lock = lock_of(capsule.record.image)
    if lock is not None and not packages.requirements:
        return _from_lock(lock, tell)
    if not packages.requirements:
        raise InputError(
            f"--env image: got {capsule.record.image!r}, which is none of ours, and a component "
            "that installs nothing, want either",
            f"dalsegno replay {capsule.manifest.address} --in container",
        )
    return asyncio.run(make_environment(packages, tell))


def play_with(
    python: Path, capsule: Capsule, options: list[str], tell: Callable[[str], None] = ignore
) -> Replayed:
    """Play a capsule with another interpreter, which gets our code besides its own packages.

    Args:
        options: Of `python -m dalsegno.replay`.
        tell: Told, in a line, what the task had and is not to be had here.

    Raises:
        KeyboardInterrupt: The replay was stopped.
        InputError: The interpreter could not load the capsule; it has said why.
    """
    command = [str(python), "-P", "-m", "dalsegno.replay", str(capsule.folder), *options]
    is_mounting = not any(option.startswith(("--pdb", "--listen")) for option in options)
    with tempfile.TemporaryDirectory(prefix="dalsegno-") as scratch:
        told, volumes = Path(scratch) / "folder", Path(scratch) / "volumes"
        found = surroundings_of(capsule, volumes, tell, is_mounting=is_mounting)
        environment = {**os.environ, "PYTHONPATH": str(code_path()), **found.handed_on()}
        code = subprocess.call([*command, "--folder-to", str(told)], env=environment)  # noqa: S603
        if not told.exists():
            raise InputError(f"--env image: got no replay from {python}, want one (see above)")
        folder = Path(told.read_text())
    if code in (-signal.SIGINT, _STOPPED):
        raise KeyboardInterrupt
    return kept_outcome(Replayed(int(folder.name), folder, "process"), code)


def lock_of(image: str) -> Path | None:
    """Return the lock of one of our images, whatever registry and tag it has; None for others."""
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    names = {
        known.rpartition("/")[2].partition(":")[0]: family for family, known in FAMILIES.items()
    }
    if name not in names:
        return None
    lock = Path(__file__).parents[2] / "requirements" / f"{names[name]}.txt"
    if not lock.is_file():
        raise ConfigurationError(f"--env image: got no {lock}, want the checkout with its locks")
    return lock


def code_path() -> Path:
    """Return a folder with our code alone, to be on the path of another interpreter."""
    folder = environments_dir().parent / "code"
    found = {name: util.find_spec(name) for name in _CODE}
    places = {
        name: str(Path(spec.origin).parent) for name, spec in found.items() if spec and spec.origin
    }
    folder = folder / hashlib.sha256(repr(sorted(places.items())).encode()).hexdigest()[:16]
    if not folder.is_dir():
        with landing(folder) as arriving:
            arriving.mkdir()
            for name, place in places.items():
                (arriving / name).symlink_to(place)
    return folder


def _from_lock(lock: Path, tell: Callable[[str], None]) -> Path:
    text = lock.read_bytes()
    key = hashlib.sha256(text + sys.version.encode() + metadata.version("kfp").encode())
    folder = environments_dir() / f"{lock.stem}-{key.hexdigest()[:16]}"
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # one makes it, others wait; gone with its holder
        if not python.exists():
            tell(f"environment: installing {lock.name} once, into {folder}")
            _fill(folder, lock)
    return python


def _fill(folder: Path, lock: Path) -> None:
    """Install a lock and kfp without its dependencies, as the image has them."""
    partial = folder.with_name(f"{folder.name}.partial")
    python = str(partial / "bin" / "python")
    install = ["pip", "install", "--python", python]
    options = ["--clear", "--relocatable", "--no-project", "--python", sys.executable]
    _uv("venv", *options, str(partial))
    _uv(*install, "--require-hashes", "--no-deps", "-r", str(lock))
    _uv(*install, "--no-deps", f"kfp=={metadata.version('kfp')}")
    partial.rename(folder)


def _uv(*arguments: str) -> None:
    import uv

    done = subprocess.run(  # noqa: S603
        [uv.find_uv_bin(), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"},
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise ConfigurationError(f"--env image: got no environment: {lines[-1].strip()[:300]}")
