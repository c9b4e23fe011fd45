"""How fast a capsule's inputs come from an S3 store, beside the best loop over the store's client.

Run: `.venv/bin/python -m benchmarks.capsule_download`. Against a real S3 server on this machine:
one object of 256 MiB (peer: minio's `get_object` of ranges of 16 MiB, 4 side by side, written to
one file), and 10,000 objects of 4 KiB (peer: minio's `get_object` by 8 and 16 threads, the faster).
The peers verify nothing. The server gets a core of its own, as with a store elsewhere: where both
share two cores, the peer fills them, and the digest is taken from its time (0.7 of its speed then).
Wanted: at least 80 % of the first, within twice the second, and a peak of memory below 256 MiB in
the process that downloads.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dalsegno.store import open_store
from dalsegno.store.access import S3Access
from tests.servers import BUCKET, start_seaweedfs, stop

LARGE_BYTES = 256 * 1024 * 1024
SMALL_BYTES, SMALL_FILES = 4096, 10_000
PART_BYTES = 16 * 1024 * 1024
LARGE_REPETITIONS, SMALL_REPETITIONS = 9, 2
URI = f"s3://{BUCKET}/bench"


def ours(access: S3Access, key: str, folder: Path) -> None:
    """Fetch as a capsule does, digest and all."""
    open_store(URI, access).download(key, folder / "target")


def peer_large(access: S3Access, folder: Path) -> None:
    """Fetch one object in ranges by minio's own client."""
    client = _client(access)
    size = client.stat_object(BUCKET, "bench/large").size
    handle = os.open(folder / "target", os.O_WRONLY | os.O_CREAT)

    def fetch(start: int) -> None:
        answer = client.get_object(BUCKET, "bench/large", start, min(PART_BYTES, size - start))
        for block in answer.stream(1024 * 1024):
            os.pwrite(handle, block, start)
            start += len(block)
        answer.release_conn()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fetch, range(0, size, PART_BYTES)))
    os.close(handle)


def peer_small(access: S3Access, folder: Path, threads: int) -> None:
    """Fetch many objects by minio's own client."""
    client = _client(access)
    names = [item.object_name for item in client.list_objects(BUCKET, "bench/small/")]

    def fetch(name: str) -> None:
        answer = client.get_object(BUCKET, name)
        (folder / name.rpartition("/")[2]).write_bytes(answer.read())
        answer.release_conn()

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fetch, names))


def _client(access: S3Access) -> Any:
    import urllib3
    from minio import Minio

    pool = urllib3.PoolManager(maxsize=16)
    return Minio(
        access.endpoint, access.access_key, access.secret_key, secure=False, http_client=pool
    )


def child(name: str) -> None:
    """Do one transfer in this process; print its seconds and the peak of its memory."""
    access = S3Access(os.environ["BENCH_S3"], "tester", "not-a-secret", secure=False)
    jobs = {
        "ours large": lambda folder: ours(access, "large", folder),
        "ours small": lambda folder: ours(access, "small", folder),
        "peer large": lambda folder: peer_large(access, folder),
        "peer small, 8 threads": lambda folder: peer_small(access, folder, 8),
        "peer small, 16 threads": lambda folder: peer_small(access, folder, 16),
    }
    import minio  # noqa: F401 (what is imported is not what is measured)

    import dalsegno.store.s3  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        jobs[name](Path(folder))
        seconds = time.perf_counter() - begun
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"seconds": seconds, "peak_mib": int(peak.split()[1]) / 1024}))


def measure(access: S3Access) -> dict[str, dict[str, float]]:
    """Give median seconds and greatest memory of each job; the jobs take turns."""
    names = ["ours large", "peer large", "ours small"]
    names += ["peer small, 8 threads", "peer small, 16 threads"]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(LARGE_REPETITIONS):
        for name in names[: 2 if number >= SMALL_REPETITIONS else None]:
            command = [sys.executable, "-P", "-m", "benchmarks.capsule_download", name]
            environment = {**os.environ, "BENCH_S3": access.endpoint}
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=environment
            )
            found[name].append(json.loads(done.stdout))
    return {
        name: {
            "seconds": statistics.median(each["seconds"] for each in results),
            "peak_mib": max(each["peak_mib"] for each in results),
        }
        for name, results in found.items()
    }


def fill(access: S3Access, folder: Path) -> None:
    """Write the objects that are fetched."""
    store = open_store(URI, access)
    large = folder / "large"
    with large.open("wb") as file:
        for _ in range(LARGE_BYTES // PART_BYTES):
            file.write(os.urandom(PART_BYTES))
    store.upload(large, "large")
    large.unlink()
    small = folder / "small"
    small.mkdir()
    for number in range(SMALL_FILES):
        (small / f"{number:05}").write_bytes(os.urandom(SMALL_BYTES))
    store.upload(small, "small")


def part_cores(server: int) -> None:
    """Give a process one core, and this one with its children the others, where there are some."""
    first, *others = sorted(os.sched_getaffinity(0))
    if others:
        for thread in os.listdir(f"/proc/{server}/task"):
            os.sched_setaffinity(int(thread), {first})
        os.sched_setaffinity(0, others)


def figures(found: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Judge speed and memory."""
    share = found["peer large"]["seconds"] / found["ours large"]["seconds"]
    best = min(each["seconds"] for name, each in found.items() if name.startswith("peer small"))
    factor = found["ours small"]["seconds"] / best
    peak = max(found["ours large"]["peak_mib"], found["ours small"]["peak_mib"])
    return [
        _figure(
            "capsule input of 256 MiB, share of the client's speed", share, ">= 0.8", share >= 0.8
        ),
        _figure("10,000 files of 4 KiB, times the best client loop", factor, "<= 2", factor <= 2),
        _figure("peak memory of a download, MiB", peak, "< 256", peak < 256),
    ]


def _figure(name: str, measured: float, wanted: str, ok: bool) -> dict[str, Any]:
    return {"figure": name, "measured": round(measured, 2), "wanted": wanted, "ok": ok}


def main() -> int:
    """Print what was measured; exit 1 when a figure is missed."""
    if len(sys.argv) > 1:
        child(sys.argv[1])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        process, access = start_seaweedfs(Path(folder))
        try:
            part_cores(process.pid)
            fill(access, Path(folder))
            found = measure(access)
        finally:
            stop(process)
    judged = figures(found)
    print(json.dumps({"measured": found, "figures": judged}), flush=True)
    return 0 if all(figure["ok"] for figure in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
