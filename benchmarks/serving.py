"""How fast the model server is, beside KServe's and beside bare functions, around one ONNX graph.

Run: `[REPETITIONS=3 SECONDS=4] .venv/bin/python -m benchmarks.serving [PART…] [--quick]`. Parts are
`start`, `throughput`, `steady` and `swaps`. `throughput` needs no quiet machine, as its servers
take turns; `steady` does.

The model is the Titanic one, the request
one row of JSON with 16 columns; the prediction log is on. All servers stand at once and are loaded
in turn, round by round, by 16 connections of one process; the median of the rounds counts. `cpu_us`
is the processor time that a server spends on a request: it tells more than the rest on a machine
that has other work. Then ours alone at 500 requests a second, what it takes in memory and time to
start, and 20 swaps at 300 requests a second.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.clean_batches import prepare
from dalsegno import releases
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.process import ServerProcess, start_server
from dalsegno.store import Store, open_store

PEERS = ("asgi", "starlette", "fastapi", "kserve")
WEIGHED = ("per_second", "p50_ms", "p99_ms", "cpu_us")
CONNECTIONS, RATE, SWAP_RATE = 16, 500, 300
JSON = {"content-type": "application/json"}
PATH = "/v2/models/titanic/infer"
PARTS = ("start", "throughput", "steady", "swaps")


def make_body(model: Path) -> bytes:
    """Make the request: one row of those that came with the model."""
    inputs = json.loads((model / "signature.json").read_text())["inputs"]
    row = json.loads((model / "example.json").read_text())["rows"][0]
    columns = [{**item, "shape": [1, 1], "data": [row[item["name"]]]} for item in inputs]
    return json.dumps({"inputs": columns}).encode()


def load(url: str, body: Path, seconds: float, rate: float = 0) -> dict[str, Any]:
    """Load a server from a process of its own; returns that one's report."""
    command = [sys.executable, "-P", "-m", "benchmarks.load", url, PATH, str(body), str(seconds)]
    command += [str(CONNECTIONS), str(rate)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@contextmanager
def peer(kind: str, model: Path) -> Iterator[tuple[str, int]]:
    """Start a peer, and wait until it answers; gives its URL and process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-P", "-m", "benchmarks.serving_peers", kind, str(model), str(port)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(url, make_body(model))
            yield url, process.pid
        finally:
            process.kill()


def wait_for(url: str, body: bytes) -> None:
    """Wait until a server predicts."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = httpx.post(f"{url}{PATH}", content=body, headers=JSON, trust_env=False)
            if answer.status_code == 200 and "probability" in answer.text:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


def start(store: Store, scratch: Path) -> ServerProcess:
    """Start our server on the releases of a store."""
    environment = {"DALSEGNO_STORE_URI": store.uri}
    options = {"log_path": scratch / "log", "cache_dir": scratch / "cache"}
    return start_server("titanic", environment=environment, **options)  # type: ignore[arg-type]


def figure(name: str, measured: float, wanted: str, ok: bool) -> dict[str, Any]:
    """Make a line of the summary."""
    return {"figure": name, "measured": round(measured, 2), "wanted": wanted, "ok": bool(ok)}


def load_and_weigh(url: str, pid: int, body: Path, seconds: float) -> dict[str, Any]:
    """Load a server; the report has also the processor time of the server for one request."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    report = load(url, body, seconds)
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return {**report, "cpu_us": 1e6 * spent / max(1, report["requests"])}


def measure_throughput(
    servers: dict[str, tuple[str, int]], body: Path, seconds: float, repetitions: int
) -> dict[str, Any]:
    """Load all servers in turn; the medians of their rounds."""
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
    for url, _ in servers.values():
        load(url, body, 1)
    names = list(servers)
    for turn in range(repetitions):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            rounds[name].append(load_and_weigh(*servers[name], body, seconds))
    return {
        name: {key: round(statistics.median(each[key] for each in found), 2) for key in WEIGHED}
        for name, found in rounds.items()
    }


def judge_throughput(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare ours with the peers."""
    ours = found["dalsegno"]["per_second"]
    kserve, bare = found["kserve"]["per_second"], found["asgi"]["per_second"]
    return [
        figure("serving: throughput beside KServe", ours / kserve, ">= 2.5", ours >= 2.5 * kserve),
        figure(
            "serving: throughput beside a bare function", ours / bare, ">= 0.7", ours >= 0.7 * bare
        ),
    ]


def measure_start(store: Store, scratch: Path) -> dict[str, float]:
    """Give the seconds from the command to readiness, and the idle memory in MB (median of 3)."""
    seconds, memory = [], []
    for _ in range(3):
        begun = time.monotonic()
        with start(store, scratch) as server:
            wait_until_ready(server.url)
            seconds.append(time.monotonic() - begun)
            memory.append(psutil.Process(server.process.pid).memory_info().rss / 1e6)
    return {"ready_seconds": statistics.median(seconds), "idle_mb": statistics.median(memory)}


def measure_swaps(store: Store, url: str, body: Path, models: list[Path], seconds: float) -> Any:
    """Swap and roll back 20 times under load; the load's report, and the times to first answers."""
    delays: list[float] = []

    def swap() -> None:
        for count in range(20):
            time.sleep(seconds / 22)
            begun = time.monotonic()
            if count % 2:
                made = releases.roll_back(store, "titanic", reason="bench", who="bench")
            else:
                made = releases.promote(
                    store, "titanic", models[1], reason="bench", who="bench", run_id=str(count)
                )
            wait_until_ready(url, endpoint="titanic", release=made.number)
            delays.append(time.monotonic() - begun)

    swapping = threading.Thread(target=swap)
    swapping.start()
    report = load(url, body, seconds, SWAP_RATE)
    swapping.join()
    return report, delays


def make_second(model: Path, target: Path) -> Path:
    """Make another model of the same probabilities: only its notes differ."""
    target.mkdir()
    for each in model.iterdir():
        (target / each.name).write_bytes(each.read_bytes())
    training = json.loads((model / "training.json").read_text())
    (target / "training.json").write_text(json.dumps({**training, "seed": 1}))
    return target


def play_start(store: Store, scratch: Path) -> dict[str, Any]:
    """Measure how long it takes to start, and what it holds then."""
    found = measure_start(store, scratch)
    ready, idle = found["ready_seconds"], found["idle_mb"]
    return {
        "figures": [
            figure("serving: start to ready (s)", ready, "<= 2", ready <= 2),
            figure("serving: idle memory (MB)", idle, "<= 150", idle <= 150),
        ],
    }


def play_throughput(
    ours: ServerProcess, model: Path, body: Path, seconds: float, repetitions: int
) -> dict[str, Any]:
    """Measure all servers at once."""
    with ExitStack() as started:
        peers = {kind: started.enter_context(peer(kind, model)) for kind in PEERS}
        servers = {"dalsegno": (ours.url, ours.process.pid), **peers}
        found = measure_throughput(servers, body, seconds, repetitions)
    return {"throughput": found, "figures": judge_throughput(found)}


def play_steady(ours: ServerProcess, body: Path, seconds: float) -> dict[str, Any]:
    """Measure how long an answer takes at a rate that it bears."""
    load(ours.url, body, 1, RATE)
    steady = load(ours.url, body, seconds, RATE)
    p99 = steady["p99_ms"]
    return {
        "steady": steady,
        "figures": [figure("serving: p99 at 500/s (ms)", p99, "<= 5", p99 <= 5)],
    }


def play_swaps(
    store: Store, ours: ServerProcess, body: Path, models: list[Path], seconds: float
) -> dict[str, Any]:
    """Swap and roll back under load."""
    report, delays = measure_swaps(store, ours.url, body, models, seconds)
    failed = sum(count for status, count in report["statuses"].items() if status != "200")
    failed += report["unanswered"]
    backs, swaps = delays[1::2], len(report["releases"]) - 1
    return {
        "swaps": report,
        "rollback_seconds": [round(each, 2) for each in backs],
        "figures": [
            figure(f"serving: failed over {swaps} swaps at 300/s", failed, "= 0", failed == 0),
            figure("serving: rollback to first answer (s)", max(backs), "<= 1", max(backs) <= 1),
        ],
    }


def play(parts: Sequence[str], is_quick: bool) -> Iterator[dict[str, Any]]:
    """Measure the parts, line by line."""
    seconds = float(os.environ.get("SECONDS") or (2 if is_quick else 6))
    repetitions = int(os.environ.get("REPETITIONS") or (3 if is_quick else 5))
    with tempfile.TemporaryDirectory() as name, ExitStack() as servers:
        scratch = Path(name)
        prepare(scratch)
        model = scratch / "model"
        store = open_store(str(scratch / "store"))
        releases.promote(store, "titanic", model, reason="bench", who="bench")
        body = scratch / "body.json"
        body.write_bytes(make_body(model))
        if "start" in parts:
            yield play_start(store, scratch)
        ours = servers.enter_context(start(store, scratch))
        wait_until_ready(ours.url)
        if "throughput" in parts:
            yield play_throughput(ours, model, body, seconds, repetitions)
        if "steady" in parts:
            yield play_steady(ours, body, 3 * seconds)
        if "swaps" in parts:
            models = [model, make_second(model, scratch / "second")]
            yield play_swaps(store, ours, body, models, 12 if is_quick else 60)


def main() -> int:
    """Print a JSON line a part; exit 1 when a figure is missed."""
    is_reached = True
    parts = [name for name in sys.argv[1:] if name in PARTS] or PARTS
    for line in play(parts, "--quick" in sys.argv or bool(os.environ.get("QUICK"))):
        is_reached &= all(each["ok"] for each in line["figures"])
        load_average = [round(each, 1) for each in os.getloadavg()]
        print(json.dumps({**line, "load_average": load_average}), flush=True)
    return 0 if is_reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
