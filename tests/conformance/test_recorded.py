"""What tasks are given here is what the driver of a real KFP 2.17 handed to them.

URIs, ids and times are left out, and what a cluster adds to the metadata of artifacts.
"""

import json
from pathlib import Path

import pytest

from tests.conformance import recorded_pipelines

_FOLDER = Path(__file__).with_name("recorded")


@pytest.mark.parametrize("recorded", sorted(_FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_tasks_are_given_what_a_cluster_gave_them(play, recorded):
    want = json.loads(recorded.read_text())
    play(getattr(recorded_pipelines, recorded.stem))
    found = {path: as_recorded(play.task(path), want[path]) for path in want}
    assert text_of(found) == text_of(want)


def text_of(tasks):
    """Write tasks as JSON, which tells 1 from 1.0 and from true."""
    return json.dumps(tasks, indent=1, sort_keys=True)


def as_recorded(task, want):
    """Write a task as it is recorded of a cluster, with its output if that is recorded."""
    inputs = task.executor_input["inputs"]
    found = {"state": str(task.state)}
    if parameters := inputs["parameterValues"]:
        for value in parameters.values():
            if isinstance(value, dict):
                value.pop("pipelineJobResourceName", None)
        found["parameters"] = parameters
    if inputs["artifacts"]:
        found["metadata"] = {
            name: [artifact["metadata"] for artifact in listed["artifacts"]]
            for name, listed in inputs["artifacts"].items()
        }
    if "output" in want:
        found["output"] = task.executor_output["parameterValues"]["Output"]
    return found
