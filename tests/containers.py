"""A container engine for tests, and images made of what this machine has.

No registry is asked. The one image holds the shell, a few tools, this Python and kfp without its
dependencies; podman keeps it, so that only the first run of the tests makes it. Containers get no
network. Tests that need an engine are skipped where none works, with its own words.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

NETWORK = "none"
PODMAN = shutil.which("podman")
TOOLS = (
    *(
        "sh",
        "cat",
        "chmod",
        "cp",
        "dd",
        "dirname",
        "echo",
        "env",
        "head",
        "id",
        "ln",
        "ls",
        "mkdir",
    ),
    *(
        "mktemp",
        "printf",
        "rm",
        "seq",
        "setsid",
        "sleep",
        "tail",
        "touch",
        "tr",
        "true",
        "wc",
        "yes",
    ),
)
# For machines whose defaults do not let podman start a container.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""
_LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "__pycache__"}
_LEFT_OUT |= {"lib2to3", "pydoc_data", "config-3.11-x86_64-linux-gnu", "turtledemo"}


@dataclass(frozen=True)
class Podman:
    """Podman with the images of the tests.

    Attributes:
        image: Root's image.
        other_image: The same with a user of its own, 1234, and an entry point that always fails.
    """

    image: str
    other_image: str

    def containers(self, store_uri: str) -> list[str]:
        """Names of the containers, running or not, of all runs in the folder of a store."""
        format_ = '{{.Names}} {{index .Labels "dalsegno.run"}}'
        listed = podman("ps", "--all", "--filter=label=dalsegno.run", "--format", format_)
        runs = {path.name for path in Path(store_uri).glob("runs/*")}
        return [line.split()[0] for line in listed.splitlines() if line.split()[-1] in runs]


@pytest.fixture(scope="session")
def podman_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Return podman with its images; skip the test where it cannot run a container."""
    if not PODMAN:
        pytest.skip("podman is not installed")
    folder = tmp_path_factory.mktemp("podman")
    with pytest.MonkeyPatch.context() as patch:
        try:
            image = _image(folder)
            _choose_configuration(image, folder, patch)
            yield Podman(image, _derive(image))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"podman cannot run a container here: {error.stderr.strip()}")


@pytest.fixture
def docker_engine(
    podman_engine: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Podman]:
    """Let docker's client work on podman, through the service that speaks docker's API."""
    if not shutil.which("docker"):
        pytest.skip("docker's client is not installed")
    address = f"unix://{tmp_path}/podman.sock"
    service = subprocess.Popen([str(PODMAN), "system", "service", "--time=0", address])
    monkeypatch.setenv("DOCKER_HOST", address)
    try:
        for _ in range(200):
            asked = subprocess.run(["docker", "version"], capture_output=True, check=False)
            if asked.returncode == 0:
                break
            time.sleep(0.1)
        yield podman_engine
    finally:
        service.terminate()
        service.wait()


def podman(*arguments: str, text: str | None = None) -> str:
    """Run podman and return what it prints."""
    done = subprocess.run(
        [str(PODMAN), *arguments], input=text, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _choose_configuration(image: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    try:
        _try(image)
    except subprocess.CalledProcessError:
        path = folder / "containers.conf"
        path.write_text(CONFIGURATION)
        patch.setenv("CONTAINERS_CONF", str(path))
        _try(image)


def _try(image: str) -> None:
    podman("run", "--rm", f"--network={NETWORK}", image, "true")


def _image(folder: Path) -> str:
    recipe = Path(__file__).read_bytes() + sys.version.encode() + version("kfp").encode()
    image = f"localhost/dalsegno-tests:{hashlib.sha256(recipe).hexdigest()[:12]}"
    if subprocess.run(["podman", "image", "exists", image], check=False).returncode:
        archive = folder / "root.tar"
        _pack(archive)
        podman("import", "--change", f"ENV PATH={Path(sys.base_prefix)}/bin:/bin", archive, image)
        archive.unlink()
    return image


def _derive(image: str) -> str:
    other = image.replace("dalsegno-tests", "dalsegno-tests-user")
    if subprocess.run(["podman", "image", "exists", other], check=False).returncode:
        recipe = f'FROM {image}\nUSER 1234\nENTRYPOINT ["no-such-program"]\nCMD ["nothing"]\n'
        podman("build", "--network=none", "--tag", other, "--file", "-", text=recipe)
    return other


def _pack(archive: Path) -> None:
    """Write the root file system of the image: tools, Python with its library, kfp alone."""
    prefix, library = Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))
    python = Path(sys.executable).resolve()
    programs = [Path(found) for tool in TOOLS if (found := shutil.which(tool))]
    extensions = list((library / "lib-dynload").glob("*.so"))
    with tarfile.open(archive, "w") as tar:
        for name, mode in (("tmp", 0o1777), ("root", 0o755), ("etc", 0o755), ("proc", 0o755)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        for program in programs:
            tar.add(program.resolve(), f"bin/{program.name}")
        for shared in _libraries([*programs, python, *extensions]):
            tar.add(Path(shared).resolve(), shared.strip("/"))
        for name in ("python3", python.name):
            tar.add(python, str(prefix / "bin" / name).strip("/"))
        tar.add(library, str(library).strip("/"), filter=_keep)
        import kfp

        [installed] = kfp.__path__
        target = library / "site-packages" / "kfp"
        tar.add(installed, str(target).strip("/"), filter=_keep)


def _keep(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if set(Path(item.name).parts[-1:]) & _LEFT_OUT else item


def _libraries(programs: list[Path]) -> set[str]:
    """Shared libraries of programs, by the paths under which they are looked for."""
    command = ["ldd", *map(str, programs)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.findall(r"(/\S+) \(0x", listed)
    return {path for path in found if os.path.exists(path)}
