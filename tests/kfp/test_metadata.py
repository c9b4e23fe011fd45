"""Runs read from ML Metadata, by gRPC and by gRPC-web."""

from __future__ import annotations

import pytest

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.metadata import MetadataSource
from dalsegno.cluster.mlmd import GrpcMetadataStore, WebMetadataStore
from dalsegno.errors import InfrastructureError, NotFoundError
from tests.kfp.answers import Metadata
from tests.kfp.expected import PLAYED, defaults, values
from tests.kfp.server import serve_metadata
from tests.servers import free_ports


def uris(task):
    lists = task.executor_input.get("inputs", {}).get("artifacts", {})
    return {name: [item["uri"] for item in found["artifacts"]] for name, found in lists.items()}


@pytest.fixture(params=["grpc", "web"])
def open_source(request, kfp, host):
    opened = []

    def open_it(found):
        kfp.metadata = found
        access = ClusterAccess(host, timeout_seconds=5)
        if request.param == "web":
            return MetadataSource(WebMetadataStore(access), KfpApi(access))
        server = serve_metadata(found)
        opened.append(server)
        return MetadataSource(GrpcMetadataStore(server.__enter__(), 5), KfpApi(access))

    yield open_it
    for server in opened:
        server.__exit__(None, None, None)


@pytest.mark.parametrize("name", PLAYED)
def test_metadata_gives_what_the_tasks_had(name, play, kfp, open_source):
    there = play(name)
    kfp.add(there)
    reading = open_source(there.metadata()).read(there.run_id)
    found = {task.task: task for task in reading.tasks}
    last = {record.task: record for record in there.records}
    assert set(found) == set(last)
    for path, record in last.items():
        task = found[path]
        assert values(task) == defaults(record) | values(record)
        assert uris(task) == uris(record)
        assert task.component_spec == record.component_spec
        assert (task.command, task.args) == (record.command, record.args)
        assert task.state == record.state
    assert reading.endpoint == "seaweedfs.kubeflow:9000"


def test_collected_artifacts_keep_their_order(play, kfp, open_source):
    there = play("collected_artifacts")
    kfp.add(there)
    reading = open_source(there.metadata()).read(there.run_id)
    task = next(task for task in reading.tasks if task.task == "read-all")
    record = next(record for record in there.records if record.task == "read-all")
    assert uris(task) == uris(record)
    assert len(uris(task)["data"]) > 1


def test_cached_task_has_inputs_and_the_outputs_it_took(play, kfp, open_source):
    there = play("artifacts", cached=frozenset({"write"}))
    kfp.add(there)
    reading = open_source(there.metadata()).read(there.run_id)
    task = next(task for task in reading.tasks if task.task == "write")
    assert task.state == "cached"
    assert values(task)["text"] == "hello"
    assert task.outputs["data"][0]["uri"].endswith("/data")


def test_metadata_answers_without_the_run_api(play, open_source):
    there = play("failing")
    reading = open_source(there.metadata()).read(there.run_id)
    assert reading.run.state == "failed"
    assert reading.run.pipeline == there.pipeline.name
    assert {task.task for task in reading.tasks} == {record.task for record in there.records}


def test_unknown_run_is_said_to_be_unknown(open_source):
    source = open_source(Metadata())
    with pytest.raises(NotFoundError, match="got no run 1234"):
        source.read("1234")


def test_metadata_that_is_down_is_named(api):
    (port,) = free_ports(1)
    source = MetadataSource(GrpcMetadataStore(f"127.0.0.1:{port}", 2), api)
    with pytest.raises(InfrastructureError, match="got UNAVAILABLE"):
        source.read("1234")


def test_ui_without_metadata_is_named(host, api):
    source = MetadataSource(WebMetadataStore(ClusterAccess(host, timeout_seconds=5)), api)
    with pytest.raises(NotFoundError, match="got no gRPC-web there"):
        source.read("1234")
