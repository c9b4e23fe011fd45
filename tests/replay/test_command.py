"""The commands as a user types them: one clear line for every fault, nothing half-written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kfp import compiler, dsl

from dalsegno.runs.reader import list_runs, read_task
from dalsegno.store import S3Access, Store, open_store
from tests.engine import samples
from tests.replay import broad
from tests.servers import BUCKET

DALSEGNO = str(Path(sys.executable).with_name("dalsegno"))
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(store: Store, tmp_path: Path) -> Command:
    """Run the command line on the test's store, without a terminal."""

    def run_it(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DALSEGNO, *words],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            env={**os.environ, "DALSEGNO_STORE_URI": store.uri, **environment},
        )

    return run_it


def assert_one_line(done: subprocess.CompletedProcess[str], pattern: str) -> None:
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert re.search(pattern, errors[0])
    assert "Traceback" not in done.stderr


def test_failure_is_reproduced_with_exit_code_0(run, command):
    done = command("replay", run(samples.failing).run_id)
    assert done.returncode == 0
    assert "about to fail" in done.stdout
    assert "verdict: failure reproduced" in done.stdout


def test_no_verdict_tells_the_tasks_own_end(run, command):
    record = run(samples.failing)
    assert command("replay", record.run_id, "--no-verdict").returncode == 1
    assert command("replay", f"{record.run_id}/add", "--no-verdict").returncode == 0


def test_killed_task_kills_no_command(run, command):
    done = command("replay", run(samples.dying).run_id)
    assert done.returncode == 0, done.stderr
    assert "failed   ProcessDied: the task's process was ended by SIGKILL" in done.stderr
    assert "verdict: failure reproduced" in done.stdout


def test_task_leaves_no_process_behind(run, command, tmp_path):
    record = run(broad.with_children, pid_file=str(tmp_path / "pid"))
    (tmp_path / "pid").unlink()
    assert command("replay", f"{record.run_id}/leave-children").returncode == 0
    child = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{child}").exists()


def test_json_is_all_there_is_on_standard_output(run, command):
    import json

    done = command("replay", run(samples.failing).run_id, "--json")
    found = json.loads(done.stdout)
    assert found["outcome"]["error"]["message"] == "boom"
    assert found["verdict"]["ending"] == "failure reproduced"


def test_unknown_task_lists_the_known(run, command):
    record = run(samples.chain)
    assert_one_line(command("replay", f"{record.run_id}/zzz"), "not found, known are add, add-2")


def test_unknown_run_is_one_line(command):
    assert_one_line(command("replay", "nowhere/task"), "run 'nowhere': not found")


def test_changed_input_is_one_line(run, store, command):
    record = run(samples.artifacts)
    Path(read_task(store, record, "read").inputs["data"][0]["uri"]).write_text("other")
    done = command("replay", f"{record.run_id}/read")
    assert_one_line(done, r"input 'data': got SHA-256 .* as recorded: it was changed since")


def test_debug_shows_the_traceback(run, command):
    record = run(samples.chain)
    assert "Traceback" in command("--debug", "replay", f"{record.run_id}/zzz").stderr


def test_running_task_is_refused_and_a_lost_one_played(store, command, tmp_path):
    marker = tmp_path / "marker"
    marker.touch()
    file = tmp_path / "waiting.py"
    file.write_text(
        "from kfp import dsl\n\n@dsl.component(install_kfp_package=False)\n"
        "def wait(marker: str):\n    import os, time\n    while os.path.exists(marker):\n"
        "        time.sleep(0.1)\n\n"
        "@dsl.pipeline\ndef waiting(marker: str):\n    wait(marker=marker)\n"
    )
    engine = subprocess.Popen(
        [DALSEGNO, "--store", store.uri, "run", str(file), "--param", f"marker={marker}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = list_runs(store)
            if found and any(store.list(f"runs/{found[0].run_id}/tasks")):
                break
            time.sleep(0.1)
        deadline = time.monotonic() + 30
        done = command("replay", "waiting/wait")
        while "not found" in done.stderr and time.monotonic() < deadline:
            done = command("replay", "waiting/wait")  # its line comes with the next heartbeat
    finally:
        os.killpg(engine.pid, signal.SIGKILL)
        engine.wait()
    assert_one_line(done, r"task 'wait' of run .*: got one that is still running")
    marker.unlink()
    lost = command("replay", "waiting")
    assert lost.returncode == 0, lost.stderr
    assert "verdict: now passes" in lost.stdout


def test_capsule_from_elsewhere_needs_a_word(run, command, tmp_path, monkeypatch):
    record = run(samples.artifacts)
    assert command("capsule", "export", f"{record.run_id}/read", "read.capsule").returncode == 0
    done = command("replay", "read.capsule")
    assert_one_line(done, "got code from elsewhere, want your word")
    assert "next: dalsegno replay read.capsule --yes" in done.stderr
    assert command("replay", "read.capsule", "--yes", "--no-verdict").returncode == 0
    assert command("replay", "read.capsule", "--no-verdict").returncode == 0


def test_capsule_cut_short_is_one_line(run, command, tmp_path):
    record = run(samples.artifacts)
    command("capsule", "export", f"{record.run_id}/read", "read.capsule")
    path = tmp_path / "read.capsule"
    path.write_bytes(path.read_bytes()[:-100])
    assert_one_line(command("replay", "read.capsule", "--yes"), "cut short")
    assert_one_line(command("capsule", "show", "read.capsule"), "cut short")


@pytest.mark.parametrize("words", [("capsule", "show"), ("replay",)], ids=" ".join)
@pytest.mark.parametrize("path", ["/no/such/path", "../train", "train.capsule"])
def test_file_that_is_not_there_is_no_run(words, path, command):
    assert_one_line(command(*words, path), f"capsule {path}: got no such file or folder")


def test_show_writes_control_characters_as_escapes(run, command, tmp_path):
    from dalsegno.terminal import visible

    assert visible("a\x1b[2Jb\u202e\n") == "a\\x1b[2Jb\\u202e\n"
    record = run(samples.artifacts)
    command("capsule", "export", f"{record.run_id}/read", "read.capsule")
    assert "def read(" in command("capsule", "show", "read.capsule", "--source").stdout


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def rude():
    raise ValueError("\x1b]0;owned\x07 \x9b2J")


def test_text_of_a_task_never_commands_the_terminal(command, tmp_path, store):
    compiler.Compiler().compile(rude, str(tmp_path / "rude.yaml"))
    done = [command("run", "rude.yaml"), command("runs")]
    run_id = list_runs(store)[0].run_id
    done += [command("show", run_id), command("show", f"{run_id}/rude")]
    done += [command("replay", run_id), command("replay", run_id, "--pdb")]
    done += [command("show", f"{run_id}/rude", "--json")]
    for shown in (item.stdout + item.stderr for item in done):
        assert "owned" in shown
        assert not set(shown) & {"\x1b", "\x07", "\x9b"}
    assert json.loads(done[-1].stdout)["error"]["message"] == "\x1b]0;owned\x07 \x9b2J"


def test_prune_removes_and_says_so(run, command, store):
    command("replay", run(samples.failing).run_id)
    assert "would remove 1 of 1" in command("capsule", "prune", "--keep", "0", "--dry-run").stdout
    assert "removed 0 of 1" in command("capsule", "prune").stdout
    assert "removed 1 of 1" in command("capsule", "prune", "--older-than", "0d").stdout
    assert not list((Path(store.uri) / "capsules").iterdir())


@pytest.mark.parametrize("age", ["soon", "3", "-1d", "1y"])
def test_prune_refuses_what_is_no_age(age, command):
    assert_one_line(command("capsule", "prune", f"--older-than={age}"), "want a number and m, h, d")


def test_run_on_s3_replays_from_its_own_inputs(s3_server: S3Access, tmp_path, command):
    from dalsegno.cli.pipelines import compile_object
    from dalsegno.engine.run import run_pipeline

    uri = f"s3://{BUCKET}/replay-{os.getpid()}"
    store = open_store(uri, s3_server)
    record = run_pipeline(compile_object(samples.artifacts), {}, store)
    access = {
        "DALSEGNO_STORE_URI": uri,
        "DALSEGNO_S3_ENDPOINT": s3_server.endpoint,
        "DALSEGNO_S3_ACCESS_KEY": str(s3_server.access_key),
        "DALSEGNO_S3_SECRET_KEY": str(s3_server.secret_key),
        "DALSEGNO_S3_SECURE": "false",
    }
    done = command("replay", f"{record.run_id}/read", **access)
    assert done.returncode == 0, done.stderr
    assert "verdict: reproduced" in done.stdout
    refused = command(
        "replay", f"{record.run_id}/read", **{**access, "DALSEGNO_S3_SECRET_KEY": "wrong"}
    )
    assert_one_line(refused, "got 403 SignatureDoesNotMatch|got 403")
    closed = command("replay", record.run_id, **{**access, "DALSEGNO_S3_ENDPOINT": "127.0.0.1:9"})
    assert_one_line(closed, "from 127.0.0.1:9, want an answer")
