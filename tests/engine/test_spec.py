"""A file that is no compiled pipeline is refused with what came and what was wanted."""

from __future__ import annotations

import pytest

from dalsegno.engine.spec import check_order, parse_pipeline
from dalsegno.errors import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "got an empty file", id="empty"),
        pytest.param("a: [", "got invalid YAML", id="not-yaml"),
        pytest.param("kind: Pod", "got a document with ['kind']", id="other-yaml"),
        pytest.param(
            "{pipelineInfo: {name: x}, root: {}, schemaVersion: 3.0.0}",
            "got pipeline schema 3.0.0, want 2.1.0",
            id="newer-schema",
        ),
        pytest.param(
            "{pipelineInfo: {name: x}, root: {}, schemaVersion: 2.9.0}",
            "got pipeline schema 2.9.0, want 2.1.0",
            id="somewhat-newer-schema",
        ),
        pytest.param("{pipelineInfo: {}, root: {}}", "file.yaml: got no 'name'", id="no-name"),
        pytest.param("{pipelineInfo: [x], root: 5}", "got a part of another type", id="list"),
        pytest.param("{pipelineInfo: {name: x}, root: {}}", "got no 'dag'", id="no-graph"),
        pytest.param(
            "{pipelineInfo: {name: x}, root: {dag: {tasks: {a: {}}}}}",
            "got no 'componentRef'",
            id="no-component",
        ),
        pytest.param(
            "{pipelineInfo: {name: x}, root: {dag: {tasks: {a: {componentRef: {name: c}}}}},"
            " components: {c: {dag: {tasks: {a: {componentRef: {name: c}}}}}}}",
            "component 'c' contains itself",
            id="inside-itself",
        ),
    ],
)
def test_file_that_is_no_pipeline_is_refused(text, message):
    with pytest.raises(InputError) as caught:
        parse_pipeline(text, "file.yaml")
    assert message in str(caught.value)


def test_cycle_is_refused():
    tasks = {"a": {"dependentTasks": ["b"]}, "b": {"dependentTasks": ["a"]}, "c": {}}
    with pytest.raises(InputError, match=r"\['a', 'b'\] wait for each other"):
        check_order(tasks, "pipeline 'x'")


def test_unknown_producer_is_refused():
    with pytest.raises(InputError, match="waits for 'gone'"):
        check_order({"a": {"dependentTasks": ["gone"]}}, "pipeline 'x'")
