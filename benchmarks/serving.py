"""How fast the model server is, beside other model servers and beside bare functions.

Run: `[REPETITIONS=3 SECONDS=4] .venv/bin/python -m benchmarks.serving [PART…] [--quick]`. Parts are
`start`, `throughput`, `steady` and `swaps`. `throughput` needs no quiet machine, as its servers
take turns; `steady` does.

The model is the Titanic one, the request one row of it, and each peer must give the model's own
probability first. Ours has the prediction log on. The bare functions and `kserve-onnx` take what
ours takes, 16 columns of JSON, and score the same ONNX graph; the others score XGBoost's own trees.
Two of those (`-row`) take the 16 columns, too, and encode them as training did; the rest are given
the row encoded already, which is less than ours does. All servers stand at once and are loaded in
turn, round by round, by 8 connections of one process; the median of the rounds counts, for `ratio`
(of ours) that of the rounds' ratios. `cpu_us` is the processor time that a server spends on a
request, in all its processes. Then ours alone at 500 requests a second, what it takes in memory and
time to start, and 20 swaps at 300 requests a second.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from benchmarks.clean_batches import prepare
from benchmarks.peers.start import PATH, PEERS, PeerError, Server, make_body, start_peer
from dalsegno import releases
from dalsegno.serving.client import wait_until_ready
from dalsegno.serving.process import ServerProcess, start_server
from dalsegno.store import Store, open_store

OURS = "dalsegno"
WEIGHED = ("per_second", "ratio", "p50_ms", "p99_ms", "cpu_us")
WANTED = {  # beside KServe and MLServer on the same row; with the row encoded they are only shown
    "asgi": 0.7, "kserve-onnx": 2.5, "kserve-row": 5, "mlserver-row": 5, "mlflow": 5, "bentoml": 5,
}  # fmt: skip
CONNECTIONS, RATE, SWAP_RATE = 8, 500, 300
PARTS = ("start", "throughput", "steady", "swaps")


def load(server: Server, seconds: float, rate: float = 0) -> dict[str, Any]:
    """Load a server from a process of its own; returns that one's report."""
    command = [sys.executable, "-P", "-m", "benchmarks.load", server.url, server.path]
    command += [str(server.body), str(seconds), str(CONNECTIONS), str(rate)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def start(store: Store, scratch: Path) -> ServerProcess:
    """Start our server on the releases of a store."""
    environment = {"DALSEGNO_STORE_URI": store.uri}
    options = {"log_path": scratch / "log", "cache_dir": scratch / "cache"}
    return start_server("titanic", environment=environment, **options)  # type: ignore[arg-type]


def figure(name: str, measured: float, wanted: str, ok: bool) -> dict[str, Any]:
    """Make a line of the summary."""
    return {"figure": name, "measured": round(measured, 2), "wanted": wanted, "ok": bool(ok)}


def load_and_weigh(server: Server, seconds: float) -> dict[str, Any]:
    """Load a server; the report has also the processor time of the server for one request."""
    before = server.cpu_seconds()
    report = load(server, seconds)
    spent = server.cpu_seconds() - before
    return {**report, "cpu_us": 1e6 * spent / max(1, report["requests"])}


def measure_throughput(
    servers: dict[str, Server], seconds: float, repetitions: int
) -> dict[str, dict[str, float]]:
    """Load all servers in turn; the medians of their rounds.

    Raises:
        PeerError: A server refused what it had answered before.
    """
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
    for server in servers.values():
        load(server, 1)
    names = list(servers)
    for turn in range(repetitions):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            report = load_and_weigh(servers[name], seconds)
            if set(report["statuses"]) != {"200"}:
                raise PeerError(f"{name}: got answers {report['statuses']}, want 200 alone")
            rounds[name].append(report)
    for found in rounds.values():
        for own, report in zip(rounds[OURS], found, strict=True):
            report["ratio"] = own["per_second"] / report["per_second"]
    return {
        name: {key: round(statistics.median(each[key] for each in found), 2) for key in WEIGHED}
        for name, found in rounds.items()
    }


def judge_throughput(found: dict[str, Any], failed: dict[str, str]) -> list[dict[str, Any]]:
    """Compare ours with the peers; one that did not run is no figure, but a miss."""
    figures = []
    for name, wanted in WANTED.items():
        label = f"serving: throughput beside {name}"
        if name in failed:
            missing = {"measured": "no run", "wanted": f">= {wanted}", "ok": False}
            figures.append({"figure": label, **missing})
        else:
            ratio = found[name]["ratio"]
            figures.append(figure(label, ratio, f">= {wanted}", ratio >= wanted))
    return figures


def print_table(found: dict[str, dict[str, float]], failed: dict[str, str]) -> None:
    """Print a row for each server, the fastest first."""
    print(f"{'server':13}" + "".join(f"{key:>12}" for key in WEIGHED))
    for name, row in sorted(found.items(), key=lambda item: -item[1]["per_second"]):
        print(f"{name:13}" + "".join(f"{row[key]:12,.2f}" for key in WEIGHED))
    for name, why in failed.items():
        print(f"{name:13}  {why}")


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


def measure_swaps(store: Store, ours: Server, models: list[Path], seconds: float) -> Any:
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
            wait_until_ready(ours.url, endpoint="titanic", release=made.number)
            delays.append(time.monotonic() - begun)

    swapping = threading.Thread(target=swap)
    swapping.start()
    report = load(ours, seconds, SWAP_RATE)
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
    ours: Server, model: Path, scratch: Path, seconds: float, repetitions: int
) -> dict[str, Any]:
    """Measure all servers at once."""
    servers, failed = {OURS: ours}, {}
    with ExitStack() as started:
        for name in PEERS:
            try:
                servers[name] = started.enter_context(start_peer(name, model, scratch))
            except PeerError as error:
                failed[name] = str(error)
        found = measure_throughput(servers, seconds, repetitions)
    print_table(found, failed)
    figures = judge_throughput(found, failed)
    return {"throughput": found, "failed": failed, "figures": figures}


def play_steady(ours: Server, seconds: float) -> dict[str, Any]:
    """Measure how long an answer takes at a rate that it bears."""
    load(ours, 1, RATE)
    steady = load(ours, seconds, RATE)
    p99 = steady["p99_ms"]
    return {
        "steady": steady,
        "figures": [figure("serving: p99 at 500/s (ms)", p99, "<= 5", p99 <= 5)],
    }


def play_swaps(store: Store, ours: Server, models: list[Path], seconds: float) -> dict[str, Any]:
    """Swap and roll back under load."""
    report, delays = measure_swaps(store, ours, models, seconds)
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
    seconds = float(os.environ.get("SECONDS") or (1 if is_quick else 3))
    repetitions = int(os.environ.get("REPETITIONS") or (3 if is_quick else 9))
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
        process = servers.enter_context(start(store, scratch))
        wait_until_ready(process.url)
        ours = Server(process.url, process.process.pid, PATH, body)
        if "throughput" in parts:
            yield play_throughput(ours, model, scratch, seconds, repetitions)
        if "steady" in parts:
            yield play_steady(ours, 6 * seconds)
        if "swaps" in parts:
            models = [model, make_second(model, scratch / "second")]
            yield play_swaps(store, ours, models, 12 if is_quick else 60)


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
