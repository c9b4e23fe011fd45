"""What tasks may use and do on a cluster, as the compiled pipelines say it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dalsegno.cli.compiling import component_names
from dalsegno.settings import PREFIX, Settings
from pipelines.settings import SECRET, SECRET_KEYS, TASKS
from tests.pipelines.workflow_size import workflow_bytes

BUILD = Path(__file__).parents[2] / "build"
CADENCES = ["feature", "training", "inference", "monitoring", "simulation"]
WITHOUT_CACHE = {
    "fetch-champion",
    "fetch-dataset",
    "ingest-examples",
    "monitor-predictions",
    "promote-model",
    "publish-dataset",
    "register-model",
    "renew-golden",
    "roll-back",
}


def read(name):
    pipeline, platform = yaml.safe_load_all((BUILD / f"{name}.yaml").read_text())
    return pipeline, platform


def executors(name):
    """Yield label, container and platform settings of every executor."""
    pipeline, platform = read(name)
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for label, executor in pipeline["deploymentSpec"]["executors"].items():
        yield label, executor["container"], settings.get(label, {})


def tasks(name):
    """Yield every task that is no graph, with its component."""
    pipeline, _ = read(name)
    graphs = [pipeline["root"], *(c for c in pipeline["components"].values() if "dag" in c)]
    for graph in graphs:
        for task in graph["dag"]["tasks"].values():
            component = pipeline["components"][task["componentRef"]["name"]]
            if "dag" not in component:
                yield task, component


def component_name(label):
    return label.removeprefix("exec-").rstrip("-0123456789")


def test_every_component_has_its_settings():
    assert set(TASKS) == {name.replace("_", "-") for name in component_names()}


@pytest.mark.parametrize("name", [*CADENCES, "loop"])
def test_tasks_are_bounded_and_restricted(name):
    for label, container, settings in executors(name):
        resources = container["resources"]
        assert {"resourceCpuRequest", "resourceCpuLimit"} <= set(resources), label
        assert resources["resourceMemoryRequest"] == resources["resourceMemoryLimit"]
        assert int(settings["activeDeadlineSeconds"]) >= 600
        assert settings["securityContext"] == {"runAsNonRoot": True, "runAsUser": "65532"}


@pytest.mark.parametrize("name", [*CADENCES, "loop"])
def test_only_tasks_that_talk_outside_get_the_secret(name):
    for label, _, settings in executors(name):
        given = settings.get("secretAsEnv", [])
        assert bool(given) == TASKS[component_name(label)].talks_outside, label
        for item in given:
            assert (item["secretName"], item["optional"]) == (SECRET, True)
            assert [pair["envVar"] for pair in item["keyToEnv"]] == list(SECRET_KEYS)


@pytest.mark.parametrize("name", [*CADENCES, "loop"])
def test_only_pure_tasks_are_cached(name):
    for task, component in tasks(name):
        is_cached = task["cachingOptions"].get("enableCache", False)
        assert is_cached == (component_name(component["executorLabel"]) not in WITHOUT_CACHE)


@pytest.mark.parametrize("name", [*CADENCES, "loop"])
def test_only_tasks_that_talk_outside_are_tried_again(name):
    for task, component in tasks(name):
        policy = task.get("retryPolicy")
        assert bool(policy) == TASKS[component_name(component["executorLabel"])].talks_outside
        if policy:
            assert policy["maxRetryCount"] == 2
            assert policy["backoffDuration"] == "2s"


@pytest.mark.parametrize("name", [*CADENCES, "loop"])
def test_failed_run_is_kept_for_a_week(name):
    _, platform = read(name)
    config = platform["platforms"]["kubernetes"]["pipelineConfig"]
    assert config == {"resourceTtlOnFailure": 604800, "resourceTtlOnSuccess": 86400}


def test_secret_names_settings_that_exist():
    assert set(SECRET_KEYS) <= {PREFIX + name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("name", [*CADENCES, "loop"])
def test_workflow_fits_into_a_cluster(name):
    assert len(list(tasks(name))) <= 20
    assert workflow_bytes(*read(name)) < 300_000


@pytest.mark.parametrize("name", ["training", "loop"])
def test_no_seed_brings_golden_rows_into_training(name):
    (inputs,) = (
        task["inputs"]["parameters"]
        for task, component in tasks(name)
        if component_name(component["executorLabel"]) == "assemble-examples"
    )
    assert "entity" in inputs
    assert "seed" not in inputs
