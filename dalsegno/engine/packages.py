"""Environments for components that install packages when they start (`packages_to_install`).

Their compiled command runs pip first (`kfp/dsl/component_factory.py`). Here uv makes one
environment for each set of requirements, kept in the user's cache and used again. It holds what the
component names and kfp without dependencies, as on the cluster; kfp is always the version of this
environment. Where everything named is installed here already, nothing is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dalsegno.engine.play import Play
from dalsegno.errors import ConfigurationError, InputError

_PIP = re.compile(r"python3? -m pip install\s+(.*?)(?=&&|\n|$)")
_KFP = re.compile(r"kfp\s*($|[=<>!~\[;@])|.*[#&]egg=kfp($|&)")
_FLAGS = {"--quiet", "-q", "--no-warn-script-location", "--no-deps", "--upgrade", "-U", "--user"}
_INDEXES = {
    "--index-url": "--default-index",
    "-i": "--default-index",
    "--extra-index-url": "--index",
}
_PIP_VARIABLES = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_CERT": "SSL_CERT_FILE",
}
LIST = ".dalsegno-requirements"  # a package may bring a requirements.txt, even as a folder
_PARTIAL = ".partial"
_LOCK_SECONDS = 0.1
_REASON_LENGTH = 600


@dataclass(frozen=True)
class Packages:
    """What a component installs.

    Attributes:
        requirements: As pip takes them, sorted; kfp itself left out.
        options: Where uv looks for them.
    """

    requirements: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def shown(self) -> list[str]:
        """The requirements as they may be shown: without a password in an address."""
        return [_without_password(text) for text in self.requirements]

    @property
    def key(self) -> str:
        """Name of their environment: the same for the same requirements, Python and kfp."""
        parts = [self.requirements, self.options, sys.version, metadata.version("kfp")]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def packages_of(command: Sequence[str]) -> Packages:
    """Read what the command of a lightweight component installs, kfp itself left out.

    Raises:
        InputError: It installs in a way that is not known.
    """
    requirements: set[str] = set()
    options: list[str] = []
    for text in (found for part in command for found in _PIP.findall(part)):
        words = shlex.split(text)
        if "--no-deps" in words:  # kfp alone is installed so
            continue
        while words:
            word = words.pop(0)
            if word in _INDEXES:
                options += [_INDEXES[word], words.pop(0)]
            elif word == "--trusted-host":
                options += _trusted(words.pop(0))
            elif word.startswith("-") and word not in _FLAGS:
                raise InputError(f"packages: got pip's option {word!r}, want names of packages")
            elif not word.startswith("-") and not _KFP.match(word):
                requirements.add(word)
    return Packages(
        tuple(sorted(requirements)), tuple(dict.fromkeys(options)) if requirements else ()
    )


def are_installed_here(packages: Packages) -> bool:
    """Whether this environment has all of them, each in a version that will do."""
    return all(_is_installed(text) for text in packages.requirements)


async def make_environment(packages: Packages, tell: Callable[[str], None]) -> Path:
    """Return the interpreter of an environment with the packages; make it if need be.

    Several processes can ask at once: one makes it, the others wait. It gets its name when it is
    complete, so one whose maker was killed is never used.

    Args:
        tell: Called with what is being done, when it takes time.

    Raises:
        ConfigurationError: They cannot be had; the reason is uv's.
    """
    folder = environments_dir() / packages.key
    python = folder / "bin" / "python"
    if python.exists():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    async with _lock(folder.with_suffix(".lock")):
        if not python.exists():
            tell(f"making an environment with {', '.join(packages.shown)}")
            await asyncio.to_thread(_remove, folder)
            partial = folder.with_name(f"{folder.name}.{os.getpid()}{_PARTIAL}")
            try:
                await _fill(partial, packages)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return python


async def use_packages(work: Play, tell: Callable[[str], None]) -> None:
    """Give an attempt that will be a process the packages that its component installs.

    Raises:
        ConfigurationError: They cannot be had.
        InputError: The component installs in a way that is not known.
    """
    packages = packages_of(work.command)
    if work.module and packages.requirements:  # a module that defines components needs all of kfp
        whole = f"kfp=={metadata.version('kfp')}"
        packages = Packages((*packages.requirements, whole), packages.options)
    if packages.requirements and not are_installed_here(packages):
        work.python = await make_environment(packages, tell)
        work.host_environment = _activated(work.host_environment, work.python)


def environments_dir() -> Path:
    """Folder of the environments: each may be deleted at any time that no task uses it."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "dalsegno" / "environments"


async def _fill(folder: Path, packages: Packages) -> None:
    install = ("pip", "install", "--python", str(folder / "bin" / "python"), *packages.options)
    venv = ("venv", "--relocatable", "--no-project", "--python", sys.executable, str(folder))
    await _uv(packages, *venv)
    await _uv(packages, *install, "--", *packages.requirements)
    await _uv(packages, *install, "--no-deps", f"kfp=={metadata.version('kfp')}")
    (folder / LIST).write_text("\n".join(packages.shown) + "\n")


def _remove(folder: Path) -> None:
    """Remove what is left of an environment, and of makers of it that were killed."""
    for path in (folder, *folder.parent.glob(f"{folder.name}.*{_PARTIAL}")):
        shutil.rmtree(path, ignore_errors=True)


def _trusted(host: str) -> list[str]:
    """Give up TLS checks where a component says so by a host's name.

    KFP adds the index's whole URL by itself when a component says nothing about trust: not then.
    """
    return [] if "://" in host else ["--allow-insecure-host", host]


def _is_installed(text: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate():
            return True
        if wanted.url or wanted.extras:
            return False
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except (InvalidRequirement, metadata.PackageNotFoundError):
        return False


@contextlib.asynccontextmanager
async def _lock(path: Path) -> AsyncIterator[None]:
    """Hold a lock between processes; the kernel drops it when its holder dies."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_SECONDS)
        yield


def _activated(environment: dict[str, str], python: Path) -> dict[str, str]:
    kept = {k: v for k, v in environment.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}
    path = f"{python.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "VIRTUAL_ENV": str(python.parent.parent)}


def _uv_path() -> str:
    with contextlib.suppress(ImportError, FileNotFoundError):
        import uv

        return uv.find_uv_bin()
    found = shutil.which("uv")
    if not found:
        raise ConfigurationError("uv: got none, want it to install packages", "pip install uv")
    return found


async def _uv(packages: Packages, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        _uv_path(),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=_uv_variables(),
        start_new_session=True,
    )
    try:
        _, said = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode:
        names = ", ".join(packages.shown)
        raise ConfigurationError(
            f"packages {names}: got no environment with them: {_reason(said.decode())}",
            f"uv pip install --dry-run {shlex.join(packages.shown)}",
        )


def _uv_variables() -> dict[str, str]:
    """Return the variables for uv, which does not read pip's."""
    own = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    for theirs, name in _PIP_VARIABLES.items():
        if own.get(theirs):
            own.setdefault(name, own[theirs])
    return {**own, "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = " ".join(line for line in lines if not line.startswith("Using Python"))
    return _without_password(text)[:_REASON_LENGTH] or "uv gave no reason"


def _without_password(text: str) -> str:
    return re.sub(r"//[^@/\s]+@", "//***@", text)
