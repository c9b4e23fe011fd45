"""Runs read from executor logs in a real SeaweedFS."""

from __future__ import annotations

import json

import pytest

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.executor_logs import LogSource
from dalsegno.cluster.log_text import error_in, executor_input_in, has_succeeded
from dalsegno.errors import NotFoundError
from dalsegno.store import open_store
from tests.kfp.answers import ROOT
from tests.kfp.expected import defaults, given, values

KFP_LOG = """[KFP Executor 2026-09-21 12:53:21,402 INFO]: Got executor_input:
{given}
[KFP Executor 2026-09-21 12:53:21,402 INFO]: Looking for component `f` in --component_module_path
{rest}
"""
DONE = "[KFP Executor 2026-09-21 12:53:22,002 INFO]: Wrote executor output file to /minio/o.json."
RAISED = """Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/usr/local/lib/python3.11/site-packages/kfp/dsl/executor.py", line 415, in execute
    result = self.func(**func_kwargs)
  File "/tmp/tmp.x2/ephemeral_component.py", line 12, in fail
    raise ValueError(message)
ValueError: boom: it broke
time="2026-09-21T12:53:22Z" level=info msg="sub-process exited" error="<nil>"
"""


def write_log(store, there, record, folder, attempt=None, rest=DONE):
    whole = json.loads(json.dumps(record.executor_input))
    whole.setdefault("inputs", {})["parameterValues"] = defaults(record) | values(record)
    text = KFP_LOG.format(given=json.dumps(whole, indent=4), rest=rest)
    name = record.task.rpartition("/")[2]
    log = "executor-logs" + (f"-{attempt}" if attempt is not None else "")
    key = f"v2/artifacts/{there.pipeline.name}/{there.run_id}/{name}/{folder}/{log}"
    store.put(key, text.encode())


@pytest.fixture
def bucket(s3_server):
    return open_store("minio://tests", s3_server)


@pytest.fixture
def source(api, bucket):
    return LogSource(ROOT, lambda uri: bucket, api)


@pytest.mark.parametrize("name", ["chain", "artifacts", "nested", "collected_artifacts"])
def test_logs_give_what_the_tasks_had(name, play, kfp, bucket, source):
    there = play(name)
    kfp.add(there)
    for number, record in enumerate(there.records):
        write_log(bucket, there, record, f"{number:08x}-0000", attempt=0)
    reading = source.read(there.run_id)
    assert len(reading.tasks) == len(there.records)
    expected = [(given(record), defaults(record) | values(record)) for record in there.records]
    assert all((given(task), values(task)) in expected for task in reading.tasks)
    assert all(task.state == "succeeded" for task in reading.tasks)
    assert all(task.component_spec for task in reading.tasks)


def test_failed_attempts_tell_where_they_raised(play, kfp, bucket, source):
    there = play("failing")
    kfp.add(there)
    record = next(record for record in there.records if record.state == "failed")
    write_log(bucket, there, record, "salt", attempt=0, rest=RAISED)
    write_log(bucket, there, record, "salt", attempt=1, rest=RAISED)
    tasks = source.read(there.run_id).tasks
    assert [(task.attempt, task.state) for task in tasks] == [(1, "failed"), (2, "failed")]
    assert tasks[0].error == {
        "type": "ValueError",
        "message": "boom: it broke",
        "file": "/tmp/tmp.x2/ephemeral_component.py",
        "line": 12,
        "function": "fail",
    }


def test_store_alone_is_enough(play, bucket):
    there = play("chain")
    for record in there.records:
        write_log(bucket, there, record, "salt")
    api = KfpApi(ClusterAccess("http://127.0.0.1:9", timeout_seconds=1))
    reading = LogSource(ROOT, lambda uri: bucket, api).read(there.run_id)
    assert reading.run.pipeline == there.pipeline.name
    assert {task.task for task in reading.tasks} == {record.task for record in there.records}


def test_run_without_logs_is_not_found(source):
    with pytest.raises(NotFoundError, match="got no folder of run"):
        source.read("00000000-1111-4000-8000-000000000000")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Got executor_input:\n{broken",
        "Got executor_input:\nnone",
        'Got executor_input: {"a": 1}',
    ],
    ids=["empty", "cut", "none", "other"],
)
def test_log_without_executor_input_gives_none(text):
    assert executor_input_in(text) is None
    assert not has_succeeded(text)


def test_error_is_found_behind_a_line_of_the_other_stream():
    mixed = RAISED.replace("ValueError: boom", "parsing 9 characters\nValueError: boom")
    assert error_in(mixed) == error_in(RAISED)


def test_log_without_traceback_has_no_error():
    assert error_in("Killed\n") is None
    assert error_in('Traceback (most recent call last):\n  File "x", line 1, in f\n') is None
