"""The examples of docs/serving.md are real."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from dalsegno.serving.access import read_access
from dalsegno.serving.faults import RPC_STATUS
from dalsegno.serving.limits import Limits
from tests.serving.conftest import Promote, Start

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


@pytest.fixture
def url(promote: Promote, start: Start) -> str:
    promote(0.0)
    return start().url


def test_request_of_the_page_gets_its_answer(url: str) -> None:
    asked = re.search(r"/infer -d '(\{.*?\})'\n```\n```\n(\{.*?\})\n```", PAGE, re.DOTALL)
    assert asked
    got = httpx.post(f"{url}/v2/models/titanic/infer", content=asked[1]).json()
    told = json.loads(asked[2])
    assert got.keys() == told.keys()
    assert got["parameters"].keys() == told["parameters"].keys()
    assert got["outputs"] == told["outputs"]


def test_program_of_the_page_runs(url: str) -> None:
    program = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert program
    names: dict[str, object] = {}
    exec(program[1].replace("127.0.0.1:8080", url.removeprefix("http://")), names)
    assert names["answer"].as_numpy("probability").tolist() == [pytest.approx(0.785835, abs=1e-6)]


def test_page_tells_limits_and_faults_as_they_are() -> None:
    assert "`--rows` (10,000)" in PAGE
    limits = Limits()
    assert (limits.rows, limits.body_bytes, limits.in_flight) == (10_000, 4 * 1024**2, 256)
    assert (limits.arrival_seconds, limits.answer_seconds, limits.drain_seconds) == (30, 30, 30)
    told = set(re.findall(r"\b([45]\d\d)\b", PAGE.partition("| HTTP |")[2].partition("\n\n")[0]))
    assert told == {str(int(status)) for status in RPC_STATUS}


def test_callers_file_of_the_page_is_read(tmp_path: Path) -> None:
    listed = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert listed
    path = tmp_path / "callers.toml"
    path.write_text(listed[1].replace("…", "0" * 64))
    assert read_access(path)
