"""Starts the servers to compare with; each but the bare functions in an environment of its own.

A folder here has a peer's `requirements.txt`, of which uv makes `.venv` beside it when it is first
wanted, and `serve.py`, which becomes the peer's own server as its documentation starts it.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.peers.encoder import read_encoder
from dalsegno.model import TOLERANCE, ScoringModel

FOLDER = Path(__file__).parent
PATH = "/v2/models/titanic/infer"
JSON = {"content-type": "application/json"}
TYPES = {"BYTES": "str", "FP32": "np"}
V2_PROBABILITY = ("outputs", 0, "data", 0)
START_SECONDS = 300  # the first start in an environment compiles it


class PeerError(Exception):
    """A peer could not be installed or started, or does not answer as the model does."""


@dataclass(frozen=True)
class Peer:
    """How a server is started, and asked for the probability of one row.

    Attributes:
        folder: Of its environment; "" stands for a bare function in ours.
        arguments: Of `serve.py`, after the model folder and the port.
        path: Where it predicts.
        probability: Keys that lead to the probability in its answer.
        takes: Columns as our server does (`inputs`, or `typed inputs`, which say also how they
            are to be read), or the features encoded: as a `tensor` of the protocol, or by a key
            of its own (`KEY=`).
    """

    folder: str
    arguments: tuple[str, ...]
    path: str = PATH
    probability: tuple[str | int, ...] = V2_PROBABILITY
    takes: str = "inputs"


@dataclass(frozen=True)
class Server:
    """A server that answers: its processes begin with `pid`; `body` is a file."""

    url: str
    pid: int
    path: str
    body: Path

    def cpu_seconds(self) -> float:
        """Return the processor time of all its processes."""
        process = psutil.Process(self.pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum(each.user + each.system for each in times)


PEERS = {
    "asgi": Peer("", ("asgi",)),
    "starlette": Peer("", ("starlette",)),
    "fastapi": Peer("", ("fastapi",)),
    "kserve-onnx": Peer("kserve", ("1", "onnx")),
    "kserve": Peer("kserve", ("1", "native"), takes="tensor"),
    "kserve-row": Peer("kserve", ("1", "row"), takes="typed inputs"),
    "mlserver": Peer("mlserver", ("0", "native"), takes="tensor"),
    "mlserver-row": Peer("mlserver", ("0", "row"), takes="typed inputs"),
    "mlflow": Peer("mlflow", ("1",), "/invocations", ("predictions", 0), "inputs="),
    "bentoml": Peer("bentoml", ("1",), "/predict", (0,), "rows="),
}


def first_row(model: Path) -> dict[str, Any]:
    """Return one row of those that came with the model."""
    row: dict[str, Any] = json.loads((model / "example.json").read_text())["rows"][0]
    return row


def make_body(model: Path, takes: str = "inputs") -> bytes:
    """Make the request, as a peer takes it."""
    row = first_row(model)
    if takes.endswith("inputs"):
        inputs = json.loads((model / "signature.json").read_text())["inputs"]
        if takes == "typed inputs":
            inputs = [
                {**item, "parameters": {"content_type": TYPES[item["datatype"]]}} for item in inputs
            ]
        columns = [{**item, "shape": [1, 1], "data": [row[item["name"]]]} for item in inputs]
        return json.dumps({"inputs": columns}).encode()
    encoded = encode(model, row)
    if takes == "tensor":
        tensor = {"name": "rows", "datatype": "FP32", "shape": [1, len(encoded)], "data": encoded}
        return json.dumps({"inputs": [tensor]}).encode()
    return json.dumps({takes.removesuffix("="): [encoded]}).encode()


def encode(model: Path, row: dict[str, Any]) -> list[float]:
    """Encode a row as the trees take it."""
    import pandas as pd

    encoded: list[float] = read_encoder(model).transform(pd.DataFrame([row]))[0].tolist()
    return encoded


@contextmanager
def start_peer(name: str, model: Path, scratch: Path) -> Iterator[Server]:
    """Start a peer, and wait until it gives the model's own probability.

    Raises:
        PeerError: It does not.
    """
    peer, folder = PEERS[name], scratch / name
    folder.mkdir()
    (folder / "body.json").write_bytes(make_body(model, peer.takes))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = [str(model), str(port), *peer.arguments]
    program = ["-m", "benchmarks.peers.bare"]
    if peer.folder:
        program = [str(FOLDER / peer.folder / "serve.py")]
    command = [str(environment(peer.folder)), "-P", *program, *given]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(FOLDER.parent.parent)}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=variables)
    server = Server(f"http://127.0.0.1:{port}", process.pid, peer.path, folder / "body.json")
    try:
        wait_for(server, peer, process, log, model)
        yield server
    finally:
        kill(process)


def environment(name: str) -> Path:
    """Return the interpreter of a peer; uv makes its environment if the requirements are new.

    Raises:
        PeerError: They cannot be installed.
    """
    if not name:
        return Path(sys.executable)
    folder = FOLDER / name
    place, requirements = folder / ".venv", folder / "requirements.txt"
    python, made = place / "bin/python", place / "made"
    if not made.is_file() or made.read_bytes() != requirements.read_bytes():
        uv = str(Path(sys.executable).with_name("uv"))
        run(uv, "venv", "--clear", "--python", sys.executable, str(place))
        run(uv, "pip", "sync", "--require-hashes", "--python", str(python), str(requirements))
        shutil.copy(requirements, made)
    return python


def run(*command: str) -> None:
    """Run a command.

    Raises:
        PeerError: It failed.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise PeerError(f"{Path(command[0]).name} {command[1]}: {last_line(done.stderr)}")


def wait_for(
    server: Server, peer: Peer, process: subprocess.Popen[bytes], log: Path, model: Path
) -> None:
    """Wait until a peer answers, and compare its probability with the model's.

    Raises:
        PeerError: It ended, or the answer is another one.
    """
    url, content = f"{server.url}{server.path}", server.body.read_bytes()
    deadline, answer = time.monotonic() + START_SECONDS, "nothing"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            reply = httpx.post(url, content=content, headers=JSON, trust_env=False, timeout=10)
            answer = reply.text
            if reply.status_code == 200:
                check(reply.json(), peer, model)
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise PeerError(f"got {last_line(answer)} ({last_line(log.read_text())}), want an answer")


def check(answer: Any, peer: Peer, model: Path) -> None:
    """Compare a peer's probability with the model's own.

    Raises:
        PeerError: They are not equal.
    """
    import pandas as pd

    wanted = float(ScoringModel.load(model).predict(pd.DataFrame([first_row(model)]))[0])
    got = reduce(getitem, peer.probability, answer)
    if not abs(got - wanted) <= TOLERANCE:
        raise PeerError(f"got probability {got}, want {wanted}")


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a peer and all its processes."""
    found = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    process.wait()
    for each in found:
        if each.is_running():
            each.kill()


def last_line(text: str) -> str:
    """Return the last line of what a program said."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing")[-300:]
