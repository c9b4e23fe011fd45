"""The pipeline that plays one task on a cluster is one that KFP 2.17 takes and carries out."""

from __future__ import annotations

import pytest

from dalsegno.errors import InputError
from dalsegno.replay.one_task import one_task_pipeline
from tests.engine import samples
from tests.kfp.protobufs import read_as_the_server_does


def inputs_of(record):
    given = record.executor_input.get("inputs", {}).get("artifacts", {})
    return {
        name: [{**item, "uri": f"minio://b/{n}"} for n, item in enumerate(group["artifacts"])]
        for name, group in given.items()
    }


@pytest.fixture
def record_of(run, capsule_of):
    def record_of(pipeline, task):
        record = run(pipeline)
        path = next(name for name in record.tasks if name.rpartition("/")[2] == task)
        return capsule_of(f"{record.run_id}/{path}").record

    return record_of


def test_importer_and_constants_are_accepted(record_of):
    record = record_of(samples.artifacts, "read")
    spec = read_as_the_server_does(one_task_pipeline(record, "replay-read", inputs_of(record)))
    task = spec.root.dag.tasks["replayed"]
    assert list(task.dependent_tasks) == ["import-data"]
    assert not task.caching_options.enable_cache


def test_list_is_collected_from_containers(record_of):
    """CollectInputs in backend/src/v2/driver/resolve.go passes over importers."""
    record = record_of(samples.collected_artifacts, "read-all")
    spec = read_as_the_server_does(one_task_pipeline(record, "replay-all", inputs_of(record)))
    loop = spec.components["comp-each-data"]
    (output,) = loop.dag.outputs.artifacts.values()
    (selector,) = output.artifact_selectors
    producer = loop.dag.tasks[selector.producer_subtask].component_ref.name
    executor = spec.deployment_spec["executors"][spec.components[producer].executor_label]
    assert "container" in executor


@pytest.mark.parametrize("value", [1, 0.5, "1e3", "", True, [], [1, "a"], {"a": {"b": None}}])
def test_constants_of_every_type_are_accepted(value, record_of):
    record = record_of(samples.artifacts, "read")
    record.executor_input["inputs"]["parameterValues"] = {"p": value}
    text = one_task_pipeline(record, "replay-read", inputs_of(record))
    constant = read_as_the_server_does(text).root.dag.tasks["replayed"].inputs.parameters["p"]
    assert constant.runtime_value.constant.WhichOneof("kind")


def test_null_is_left_to_the_launcher(record_of):
    """The driver says `got null for input parameter` (resolve.go) to a null constant."""
    record = record_of(samples.artifacts, "read")
    record.executor_input["inputs"]["parameterValues"] = {"p": None}
    definitions = record.component_spec["inputDefinitions"].setdefault("parameters", {})
    definitions["p"] = {"parameterType": "NUMBER_INTEGER", "isOptional": True}
    text = one_task_pipeline(record, "replay-read", inputs_of(record))
    assert "p" not in read_as_the_server_does(text).root.dag.tasks["replayed"].inputs.parameters
    definitions["p"]["defaultValue"] = 3
    with pytest.raises(InputError, match="parameter 'p': got null"):
        one_task_pipeline(record, "replay-read", inputs_of(record))


def test_null_in_metadata_is_left_out(record_of):
    """ML Metadata has no null: `unknown/unsupported value type` (metadata/converter.go)."""
    record = record_of(samples.artifacts, "read")
    (item,) = (inputs := inputs_of(record))["data"]
    item["metadata"] = {"rows": 1, "nothing": None}
    spec = read_as_the_server_does(one_task_pipeline(record, "replay-read", inputs))
    importer = spec.deployment_spec["executors"]["exec-import-data"]["importer"]
    assert dict(importer["metadata"]) == {"rows": 1}


def test_task_without_an_image_is_refused(record_of):
    record = record_of(samples.artifacts, "read")
    record.image = ""
    with pytest.raises(InputError, match="got no image"):
        one_task_pipeline(record, "replay-read", inputs_of(record))


def test_empty_list_is_refused_by_name(record_of):
    record = record_of(samples.collected_artifacts, "read-all")
    with pytest.raises(InputError, match="input 'data': got an empty list"):
        one_task_pipeline(record, "replay-all", {"data": []})


def test_list_for_another_kind_of_component_is_refused_by_name(record_of):
    record = record_of(samples.collected_artifacts, "read-all")
    record.command, record.args = ["cat"], []
    with pytest.raises(InputError, match="no lightweight Python component"):
        one_task_pipeline(record, "replay-all", inputs_of(record))
