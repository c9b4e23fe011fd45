"""Logs of pods, as KFP's two servers give them: run_log_server.go, frontend/server/app.ts."""

from __future__ import annotations

import pytest

from dalsegno.cluster.reading import Reading
from dalsegno.cluster.task_logs import follow_pod, pod_log
from dalsegno.errors import InputError, NotFoundError
from dalsegno.runs.record import State


@pytest.fixture
def there(play, kfp):
    there = play("chain")
    kfp.logs[there.run_id, "the-pod"] = "first\n"
    return there


@pytest.fixture
def look(there):
    """Read the first task of the run; its pod is the one with a log."""
    record = there.records[0]
    record.run_id, record.state = there.run_id, State.RUNNING
    reading = Reading(there.run, pods={f"{record.task}/{record.attempt}": "the-pod"})
    return lambda: (reading, record)


@pytest.mark.parametrize("is_ui", [False, True], ids=["api-server", "ui"])
def test_log_comes_from_either_server(is_ui, kfp, api, look):
    kfp.is_ui = is_ui
    assert "".join(pod_log(api, *look())) == "first\n"


@pytest.mark.parametrize("is_ui", [False, True], ids=["api-server", "ui"])
def test_missing_pod_is_not_taken_for_a_log(is_ui, kfp, api, look):
    kfp.is_ui = is_ui
    kfp.logs.clear()
    with pytest.raises(NotFoundError, match="log of pod the-pod"):
        "".join(pod_log(api, *look()))


def test_following_tells_each_part_once(kfp, api, look, there):
    reading, record = look()
    calls = 0

    def later():
        nonlocal calls
        calls += 1
        kfp.logs[there.run_id, "the-pod"] = "".join(f"line {n}\n" for n in range(calls))
        record.state = State.SUCCEEDED if calls == 3 else State.RUNNING
        return reading, record

    assert list(follow_pod(api, later, 0)) == ["line 0\n", "line 1\n", "line 2\n"]


def test_following_waits_for_a_container(kfp, api, look, there):
    reading, record = look()
    kfp.logs.clear()
    calls = 0

    def later():
        nonlocal calls
        calls += 1
        if calls == 2:
            kfp.logs[there.run_id, "the-pod"] = "up\n"
            record.state = State.SUCCEEDED
        return reading, record

    assert list(follow_pod(api, later, 0)) == ["", "up\n"]


def test_refused_upload_says_why(kfp, api):
    """pipeline_upload_server.go answers some refusals by `http.Error`: plain text, no JSON."""
    kfp.faults = ["plain"]
    with pytest.raises(InputError, match="length cannot exceed 127"):
        api.upload_version("p", "n", "", "pipelineInfo: {}")
