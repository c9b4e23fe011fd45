"""Breakpoints bind in the real file; pdb, debugpy and the IDE configurations stop there."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dalsegno.cli.pipelines import load_pipeline
from dalsegno.engine.run import run_pipeline
from dalsegno.errors import InputError
from dalsegno.replay.build import build_capsule
from dalsegno.replay.capsule import Capsule
from dalsegno.replay.code import load_code
from dalsegno.replay.find import find_task
from dalsegno.replay.ide import launch_json, pycharm_xml, write_configurations
from dalsegno.replay.play import play, prepare_replay
from dalsegno.replay.shelf import place_of, trust
from dalsegno.store import Store, open_store

DALSEGNO = str(Path(sys.executable).with_name("dalsegno"))
SECONDS = 60
PIPELINE = '''"""A pipeline of a user."""
from kfp import dsl


# Some comment between.
@dsl.component(
    base_image="python:3.11",
    install_kfp_package=False,
)
def divide(a: int, b: int) -> int:
    import statistics

    twice = 2 * a
    if b < 0:
        statistics.mean([])
    return twice // b


@dsl.pipeline
def dividing(b: int = 0):
    divide(a=21, b=b)
'''
FAILING_LINE = 16


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dividing.py"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def capsule(file: Path, store: Store) -> Capsule:
    run_pipeline(load_pipeline(str(file)), {}, store)
    return the_capsule(store)


def the_capsule(store: Store) -> Capsule:
    run, record = find_task(store, "dividing/divide")
    built = build_capsule(store, run, record, place_of(store, record))
    trust(built)
    return built


def test_error_is_at_the_real_line(capsule, file):
    outcome = play(prepare_replay(capsule))
    assert (outcome.error["file"], outcome.error["line"]) == (str(file), FAILING_LINE)
    assert outcome.error["source_line"] == capsule.record.error["line"]


def test_edited_function_is_played_as_recorded(capsule, file):
    file.write_text(PIPELINE.replace("twice // b", "twice // (b or 1)"))
    prepared = prepare_replay(capsule)
    assert prepared.code.edited.path == file
    assert prepared.code.place.path == capsule.source
    assert play(prepared).error["line"] == capsule.record.error["line"]


def test_edited_function_is_played_where_asked_for(capsule, file):
    file.write_text("# a line more\n" + PIPELINE.replace("twice // b", "twice // (b or 1)"))
    outcome = play(prepare_replay(capsule, current=True))
    assert outcome.error is None
    assert outcome.parameters == {"Output": 42}


def test_moved_function_is_still_found(capsule, file):
    file.write_text("# a line more\n" + PIPELINE)
    assert play(prepare_replay(capsule)).error["line"] == FAILING_LINE + 1


def test_current_without_a_file_is_refused(capsule, file):
    file.unlink()
    with pytest.raises(InputError, match=r"--current: got no function 'divide' in .*dividing\.py"):
        prepare_replay(capsule, current=True)
    assert play(prepare_replay(capsule)).error["file"] == str(capsule.source)


def test_our_component_is_bound_in_its_own_file(tmp_path):
    from components.train_model.component import train_model
    from dalsegno.cli.pipelines import compile_object

    executor = compile_object(train_model).executor("exec-train-model")
    source = tmp_path / "component.py"
    source.write_text(executor["container"]["command"][-1])
    place = load_code(source, "train_model").place
    assert place.path.parts[-3:] == ("components", "train_model", "component.py")
    lines = place.path.read_text().splitlines()
    assert lines[place.line - 1].startswith("def train_model(")


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.pid, self._handle = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, {**os.environ, **environment})
        self.text = ""

    def expect(self, pattern: str) -> str:
        """Read until the pattern comes; return what came."""
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.text, re.DOTALL)):
            ready, _, _ = select.select([self._handle], [], [], max(0, deadline - time.monotonic()))
            assert ready, self.text
            try:
                self.text += os.read(self._handle, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(self.text) from None
        seen, self.text = self.text[: found.end()], self.text[found.end() :]
        return seen

    def send(self, line: str) -> None:
        os.write(self._handle, line.encode() + b"\n")

    def end(self) -> int:
        """Read to the end and return the exit code."""
        with contextlib.suppress(OSError):
            while data := os.read(self._handle, 65536):
                self.text += data.decode(errors="replace")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def replay_command(store: Store, *options: str) -> list[str]:
    return [DALSEGNO, "--store", str(store.root), "replay", "dividing", *options]


def test_pdb_stops_at_the_failing_line(capsule, store, file):
    terminal = Terminal(replay_command(store, "--pdb"))
    shown = terminal.expect(r"\(Pdb\) ")
    assert f"{file}({FAILING_LINE})divide()" in shown
    assert "-> return twice // b" in shown
    terminal.send("p twice, b")
    assert "(42, 0)" in terminal.expect(r"\(Pdb\) ")
    terminal.send("where")
    assert "kfp" not in terminal.expect(r"\(Pdb\) ").replace(str(file.parent), "")
    terminal.send("q")
    assert terminal.end() == 0
    assert "failure reproduced" in terminal.text


def test_pdb_stands_in_the_users_frame(file, store):
    run_pipeline(load_pipeline(str(file)), {"b": -1}, store)
    terminal = Terminal(replay_command(store, "--pdb"))
    assert f"{file}({FAILING_LINE - 1})divide()" in terminal.expect(r"\(Pdb\) ")
    terminal.send("down")
    assert "statistics.py" in terminal.expect(r"\(Pdb\) ")
    terminal.send("q")
    assert terminal.end() == 0


def test_pdb_stands_outside_of_a_comprehension(file, store):
    file.write_text(PIPELINE.replace("twice // b", "sum(twice // n for n in [b])"))
    run_pipeline(load_pipeline(str(file)), {}, store)
    terminal = Terminal(replay_command(store, "--pdb"))
    assert f"{file}({FAILING_LINE})divide()" in terminal.expect(r"\(Pdb\) ")
    terminal.send("q")
    assert terminal.end() == 0


@pytest.mark.parametrize("options", [(), ("--pdb",)], ids=["plain", "pdb"])
def test_breakpoint_in_the_code_stops(options, file, store):
    run_pipeline(load_pipeline(str(file)), {}, store)
    file.write_text(PIPELINE.replace("    twice =", "    breakpoint()\n    twice ="))
    terminal = Terminal(replay_command(store, "--current", *options))
    terminal.expect(r"\(Pdb\) ")
    terminal.send("n")
    terminal.send("p twice")
    assert "42" in terminal.expect(r"\(Pdb\) .*\(Pdb\) ")
    terminal.send("c")
    if options:
        terminal.expect(r"\(Pdb\) ")
        terminal.send("q")
    terminal.end()
    assert "ZeroDivisionError" in terminal.text


def test_interrupt_stops_the_replay(file, store):
    run_pipeline(load_pipeline(str(file)), {}, store)
    file.write_text(
        PIPELINE.replace(
            "    twice =", "    import time; print('slow'); time.sleep(60)\n    twice ="
        )
    )
    terminal = Terminal(replay_command(store, "--current"))
    terminal.expect("slow")
    terminal.send("\x03")
    assert terminal.end() == 130
    assert not list(the_capsule(store).folder.glob("replays/*/outcome.json"))


class DebugClient:
    """As much of the Debug Adapter Protocol as an IDE speaks when it attaches."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._stream = self._socket.makefile("rwb")
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def send(self, command: str, **arguments: Any) -> int:
        self._number += 1
        body = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        text = json.dumps(body).encode()
        self._stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
        self._stream.flush()
        return self._number

    def _read(self) -> dict[str, Any]:
        length = 0
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the adapter hung up"
        return json.loads(self._stream.read(length))

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        number = self.send(command, **arguments)
        while True:
            message = self._read()
            if message.get("request_seq") == number:
                assert message["success"], message
                return message.get("body", {})
            self.events.append(message)

    def wait(self, event: str) -> dict[str, Any]:
        while True:
            for message in self.events:
                if message.get("event") == event:
                    self.events.remove(message)
                    return message.get("body", {})
            self.events.append(self._read())

    def attach(self, path: Path, lines: list[int]) -> None:
        self.ask("initialize", adapterID="debugpy", clientID="test", pathFormat="path")
        self.send("attach", justMyCode=False)
        self.wait("initialized")
        places = [{"line": line} for line in lines]
        found = self.ask("setBreakpoints", source={"path": str(path)}, breakpoints=places)
        assert all(place["verified"] for place in found["breakpoints"])
        self.ask("configurationDone")

    def top_frame(self, thread: int) -> dict[str, Any]:
        return self.ask("stackTrace", threadId=thread)["stackFrames"][0]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()


@contextlib.contextmanager
def listening(store: Store) -> Iterator[tuple[subprocess.Popen[str], DebugClient]]:
    process = subprocess.Popen(
        replay_command(store, "--listen", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    client = None
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith("waiting"))
        client = DebugClient(int(re.search(r"127\.0\.0\.1:(\d+)", line)[1]))
        yield process, client
    finally:
        if client:
            client.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_ide_attaches_and_stops_twice(capsule, store, file):
    with listening(store) as (process, client):
        client.attach(file, [FAILING_LINE - 3])
        stopped = client.wait("stopped")
        assert stopped["reason"] == "breakpoint"
        frame = client.top_frame(stopped["threadId"])
        assert (frame["source"]["path"], frame["line"]) == (str(file), FAILING_LINE - 3)
        value = client.ask("evaluate", expression="a + b", frameId=frame["id"])
        assert value["result"] == "21"
        client.ask("continue", threadId=stopped["threadId"])
        stopped = client.wait("stopped")
        assert stopped["reason"] == "exception"
        frame = client.top_frame(stopped["threadId"])
        assert (frame["source"]["path"], frame["line"]) == (str(file), FAILING_LINE)
        client.ask("continue", threadId=stopped["threadId"])
        client.close()  # the adapter stays as long as its client does
        out, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0
        assert "failure reproduced" in out


def test_taken_port_is_one_clear_line(capsule, store):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = subprocess.run(
            replay_command(store, "--listen", port), capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert f"error: --listen: got port {port} taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_launch_json_starts_the_replay(capsule, file):
    write_configurations(capsule)
    found = json.loads((capsule.folder / ".vscode/launch.json").read_text())
    start = found["configurations"][0]
    command = [start["python"], *start["pythonArgs"], "-m", start["module"], *start["args"]]
    environment = {**os.environ, **start["env"]}
    done = subprocess.run(
        command, cwd=start["cwd"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f'File "{file}", line {FAILING_LINE}, in divide' in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_launch_json_stops_under_debugpy(capsule, file):
    start = launch_json(capsule)["configurations"][0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    options = ["-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client"]
    process = subprocess.Popen(
        [start["python"], *start["pythonArgs"], *options, "-m", start["module"], *start["args"]],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    client = None
    try:
        deadline = time.monotonic() + SECONDS
        while client is None and time.monotonic() < deadline:
            with contextlib.suppress(ConnectionRefusedError):
                client = DebugClient(port)
        client.attach(file, [])
        stopped = client.wait("stopped")
        frame = client.top_frame(stopped["threadId"])
        assert (frame["source"]["path"], frame["line"]) == (str(file), FAILING_LINE)
    finally:
        if client:
            client.close()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_pycharm_configuration_names_module_and_capsule(capsule):
    root = ElementTree.fromstring(pycharm_xml(capsule))
    options = {item.get("name"): item.get("value") for item in root.iter("option")}
    assert options["SCRIPT_NAME"] == "dalsegno.replay"
    assert options["MODULE_MODE"] == "true"
    assert options["PARAMETERS"] == f'"{capsule.folder}"'
    assert options["SDK_HOME"] == sys.executable


def test_module_refuses_code_that_nobody_agreed_to(capsule, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    command = [sys.executable, "-P", "-m", "dalsegno.replay", str(capsule.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "got code from elsewhere" in done.stderr
    assert "ZeroDivisionError" not in done.stderr


def test_current_directory_is_not_on_the_path(capsule, tmp_path):
    folder = tmp_path / "mine"
    (folder / "components").mkdir(parents=True)
    (folder / "components" / "__init__.py").write_text("raise SystemExit('mine')")
    (folder / "statistics.py").write_text("raise SystemExit('mine')")
    done = subprocess.run(
        replay_command(open_store(str(capsule.folder.parents[3]))),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "failure reproduced" in done.stdout
