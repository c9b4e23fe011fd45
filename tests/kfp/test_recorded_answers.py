"""What a real KFP 2.17 said, on good calls and on bad ones, becomes the right answer or error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dalsegno.cluster.transport import Transport
from dalsegno.errors import ConflictError, InfrastructureError, InputError, NotFoundError

ANSWERS = json.loads(Path(__file__).with_name("recorded").joinpath("answers.json").read_text())


@pytest.fixture
def call(kfp, api, monkeypatch):
    """Make a recorded call, and get what was recorded."""
    monkeypatch.setattr("dalsegno.cluster.transport._FIRST_WAIT_SECONDS", 0.01)

    def call(name):
        item = ANSWERS[name]
        kfp.faults = [item] * 4
        return Transport(api.access).json(item["method"], item["path"])

    return call


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("no such run", NotFoundError, "Run .* not found"),
        ("no such run v1", NotFoundError, "Run .* not found"),
        ("no such run to cancel", NotFoundError, "Run .* not found"),
        ("no such run to retry", NotFoundError, "Run .* not found"),
        ("no such pipeline", NotFoundError, "Pipeline /nothing not found"),
        ("no such version", NotFoundError, "PipelineVersion .* not found"),
        ("no such schedule to delete", NotFoundError, "Job .* not found"),
        ("no such path", NotFoundError, "Not Found"),
        ("pipeline again", ConflictError, "already exist"),
        ("version again", ConflictError, "Failed to create a pipeline version"),
        ("experiment again", ConflictError, "already exists"),
        ("version with a long name", InputError, "length cannot exceed 127"),
        ("version of no pipeline", InputError, "unknown template format"),
        ("version of broken YAML", InputError, "failed to parse pipeline spec YAML"),
        ("version into no pipeline", InputError, "Failed to create a pipeline version"),
        ("run of no version", InfrastructureError, "got 500 .*PipelineVersion"),
        ("run with an unknown parameter", InputError, "not required by pipeline: nothing"),
        ("run with a wrong type", InputError, "dataset requires type string"),
        ("run in no experiment", NotFoundError, "Experiment .* not found"),
        ("schedule with a bad cron", InputError, r"End of range \(99\) above maximum"),
        ("wrong page token", InputError, "Invalid page token"),
    ],
)
def test_refusal_is_told_as_it_is(name, kind, said, call):
    with pytest.raises(kind, match=said) as raised:
        call(name)
    assert "\n" not in str(raised.value)


def test_health_tells_the_version(kfp, api):
    kfp.faults = [ANSWERS["health"]]
    assert api.version() == (2, 17)


def test_missing_log_is_known_behind_a_status_of_200(kfp, api):
    kfp.faults = [ANSWERS["no such log"]]
    with pytest.raises(NotFoundError, match=r"Run .* not found"):
        list(api.pod_log("00000000-0000-4000-8000-000000000000", "x"))
