"""A task's log: all of it as it comes, within bounds."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from dalsegno.engine.log import BoundedLog, logged


def test_log_within_the_bound_is_kept_whole(tmp_path: Path) -> None:
    with BoundedLog(tmp_path / "log.txt", most_bytes=100) as log:
        log.write(b"a" * 50)
        log.write(b"b" * 50)
    assert (tmp_path / "log.txt").read_bytes() == b"a" * 50 + b"b" * 50


def test_log_beyond_the_bound_keeps_start_and_end(tmp_path: Path) -> None:
    with BoundedLog(tmp_path / "log.txt", most_bytes=100) as log:
        for number in range(100):
            log.write(f"{number:04d} ".encode())
        assert (tmp_path / "log.txt").read_text().startswith("0000 ")
    text = (tmp_path / "log.txt").read_text()
    assert text.startswith("0000 0001 ")
    assert text.endswith("0098 0099 ")
    assert "[dalsegno: 400 bytes of output left out here]" in text


def test_full_disk_ends_the_log_alone() -> None:
    with BoundedLog(Path("/dev/full")) as log:
        log.write(b"lost")
        log.write(b"lost too")


def test_output_of_a_process_is_logged_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"

    async def play() -> str:
        async with logged(path) as output:
            command = ["sh", "-c", "echo one; read line; echo $line"]
            process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stdout=output.fd
            )
            output.leave()
            while not path.read_text():
                await asyncio.sleep(0.01)
            seen = path.read_text()
            await process.communicate(b"two\n")
        return seen

    assert asyncio.run(play()) == "one\n"
    assert path.read_text() == "one\ntwo\n"


def test_stray_child_with_the_pipe_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"

    async def play() -> None:
        async with logged(path) as output:
            process = await asyncio.create_subprocess_exec(
                "sh", "-c", "sleep 30 & echo done", stdout=output.fd, start_new_session=True
            )
            output.leave()
            await process.wait()
        subprocess.run(["pkill", "--session", str(process.pid)], check=True)

    asyncio.run(asyncio.wait_for(play(), 10))
    assert path.read_text().startswith("done\n[dalsegno: something that the task started")
