"""Our pipelines, their replay and their schedules on a real Kubeflow Pipelines."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import uuid

import pytest

from dalsegno.cluster.kubernetes_api import KubernetesApi
from dalsegno.cluster.mlmd import open_metadata_store
from dalsegno.errors import ConfigurationError, DalsegnoError, InfrastructureError
from dalsegno.settings import open_artifact_store
from tests.cluster.pipelines import IMAGE

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(7200)]

RESTRICTED = os.environ.get("CLUSTER_RESTRICTED_NAMESPACE", "dalsegno")
WANTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
def kubernetes(api):
    try:
        found = KubernetesApi(api.access)
        found.namespace_labels()
    except (ConfigurationError, InfrastructureError) as error:
        pytest.skip(f"no access to the Kubernetes API: {error}")
    return found


def test_cluster_has_what_is_needed(cli):
    printed = cli("cluster", "check", "--json", status=None)  # 1 without a way to ML Metadata
    found = {item["subject"]: item for item in json.loads(printed)}
    for subject in ("endpoint", "version", "namespace", "manifests", "object store"):
        assert found[subject]["state"] == "ok", found[subject]


def test_output_lies_in_the_store(passed, records, settings):
    record = records(passed, "parse")
    assert record["state"] == "succeeded"
    (artifact,) = record["executor_input"]["inputs"]["artifacts"]["data"]["artifacts"]
    store = open_artifact_store(artifact["uri"], settings=settings)
    assert store.get(store.key_of(artifact["uri"])) == b"17"
    assert artifact["metadata"]["length"] == 2
    assert record["executor_input"]["inputs"]["parameterValues"] == {"base": 10}


@pytest.mark.parametrize("way", ["process", "container"])
def test_failed_task_is_replayed_here(way, failed, records, cli):
    if way == "container":
        _skip_without_image()
    record = records(failed, "parse")
    assert record["error"]["type"] == "ValueError"
    printed = cli("replay", f"{failed}/parse", "--in", way, "--yes")
    assert "reproduced" in printed


def test_failed_task_is_replayed_on_the_cluster(failed, records, cli):
    records(failed, "parse")
    assert "reproduced" in cli("replay", f"{failed}/parse", "--in", "cluster", "--yes")


def test_kept_failure_needs_no_cluster(failed, records, cli, monkeypatch):
    records(failed, "parse", "--artifacts")
    for name in ("DALSEGNO_KFP_HOST", "DALSEGNO_S3_ENDPOINT_REWRITE", "DALSEGNO_S3_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert "reproduced" in cli("replay", f"{failed}/parse", "--yes")


@pytest.mark.parametrize("source", ["mlmd", "log"])
def test_sources_agree(source, failed, tmp_path, cli, api):
    if source == "mlmd":
        _skip_without_metadata(api)
    inputs = {}
    for name in ("v1beta1", source):
        folder = str(tmp_path / f"by-{name}")
        cli("runs", "sync", failed, "--source", name, store=folder)
        record = json.loads(cli("show", f"{failed}/parse", "--json", store=folder))
        given = record["executor_input"]["inputs"]
        uris = [item["uri"] for item in given["artifacts"]["data"]["artifacts"]]
        inputs[name] = (given["parameterValues"], uris, record["state"])
    assert inputs["v1beta1"] == inputs[source]


def test_loops_have_an_address_each(submit, small, records, cli):
    run_id = submit(small / "looping.yaml", status=1)
    tasks = json.loads(cli("show", run_id, "--json"))["tasks"]
    graphs = {path.partition("/")[0] for path in tasks if "-iteration-" in path}
    assert {graph.rpartition("-")[2] for graph in graphs} == {"0", "1"}
    (bad,) = [path for path, item in tasks.items() if item["state"] == "failed"]
    assert records(run_id, bad)["error"]["type"] == "ValueError"
    assert "reproduced" in cli("replay", f"{run_id}/{bad}", "--yes")


def test_log_is_printed(passed, cli):
    assert "parsing 2 characters" in cli("logs", f"{passed}/parse")


def test_failed_run_is_retried_and_cancelled(submit, small, cli, api):
    run_id = submit(small / "failing.yaml", status=1)
    cli("retry", run_id)
    assert api.run(run_id)["state"] in ("PENDING", "RUNNING", "FAILED")
    cli("cancel", run_id, status=None)  # it may have failed again already
    assert api.run(run_id)["state"] in ("CANCELING", "CANCELED", "FAILED")


def test_publishing_twice_makes_one_version(small, cli):
    cli("publish", str(small / "passing.yaml"))
    assert "is there already" in cli("publish", str(small / "passing.yaml"))


def test_wrong_parameter_never_reaches_the_cluster(small, cli):
    cli("submit", str(small / "passing.yaml"), "-p", "nothing=1", status=2)


def test_schedule_is_made_changed_and_removed(small, cli, api):
    name = f"dalsegno-test-{uuid.uuid4().hex[:8]}"
    call = ("schedule", str(small / "passing.yaml"), "--name", name)
    begin = ("--start", "2099-01-01T00:00")
    try:
        assert cli(*call, *begin, "--cron", "0 6 * * 1-5").count("fires") == 3
        (made,) = [item for item in api.schedules() if item["display_name"] == name]
        assert made["trigger"]["cron_schedule"]["cron"] == "0 0 6 * * 1-5"
        assert made["no_catchup"] is True
        assert "is there already" in cli(*call, *begin, "--cron", "0 6 * * 1-5")
        cli(*call, *begin, "--every", "6h", "--update")
        (left,) = [item for item in api.schedules() if item["display_name"] == name]
        assert left["trigger"]["periodic_schedule"]["interval_second"] == "21600"
        assert left["status"] == "ENABLED"
    finally:
        cli("unschedule", name)
    assert not [item for item in api.schedules() if item["display_name"] == name]


def test_task_pods_hold_in_a_restricted_namespace(passed, kubernetes, api):
    pods = [pod for pod in kubernetes.pods(passed) if "--executor_input" in _main(pod)["command"]]
    assert pods, "the pods of the run are gone already"
    for pod in pods:
        context = {**(pod["spec"].get("securityContext") or {}), **_main(pod)["securityContext"]}
        assert {name: context.get(name) for name in WANTED} == WANTED
    there = KubernetesApi(api.access)
    there.namespace = RESTRICTED
    try:
        labels = there.namespace_labels()
    except DalsegnoError as error:
        pytest.skip(f"no namespace {RESTRICTED}: {error}")
    assert labels.get("pod-security.kubernetes.io/enforce") == "restricted"
    assert there.dry_run_pod(_anew(pods[0]))["metadata"]["name"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["loop"],
        ["simulation"],
        ["training", "-p", "seed=1", "-p", "margin=0.5"],
        ["inference"],
        ["monitoring"],
        ["feature"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_pipeline_succeeds(arguments, submit_ours, cli):
    run_id = submit_ours(*arguments)
    assert json.loads(cli("show", run_id, "--json"))["state"] == "succeeded"


def test_release_is_rolled_back(cli):
    printed = cli("releases", "titanic", "--json", store=None, status=None)
    releases = json.loads(printed) if printed.strip() else []  # an error where there is none
    if len(releases) < 2:
        pytest.skip(f"endpoint titanic has {len(releases)} releases, want two to roll back")
    cli("rollback", "titanic", "--reason", "cluster test", store=None)
    assert len(json.loads(cli("releases", "titanic", "--json", store=None))) == len(releases) + 1


def _skip_without_image():
    """The task's image is a public one: it must be here, or in reach of this machine."""
    engine = shutil.which("podman") or shutil.which("docker")
    if not engine:
        pytest.skip("no podman and no docker")
    for look in (["image", "inspect"], ["pull"]):
        command = [engine, *look, IMAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.returncode:
            break
    else:
        pytest.skip(f"no image {IMAGE}: {' '.join(done.stderr.split())[-200:]}")


def _skip_without_metadata(api):
    """ML Metadata answers through the UI, or at an address of its own; the API server has none."""
    try:
        open_metadata_store(api.access).run_context("none")
    except DalsegnoError as error:
        if "got no run" not in str(error):
            pytest.skip(f"no ML Metadata: {error}")


def _main(pod):
    return next(item for item in pod["spec"]["containers"] if item["name"] == "main")


def _anew(pod):
    """Return a pod as it could be made again: without what the server added."""
    spec = copy.deepcopy(pod["spec"])
    for name in ("nodeName", "serviceAccountName", "serviceAccount"):
        spec.pop(name, None)
    spec["volumes"] = [item for item in spec["volumes"] if "projected" not in item]
    kept = {item["name"] for item in spec["volumes"]}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        mounts = container.get("volumeMounts", [])
        container["volumeMounts"] = [item for item in mounts if item["name"] in kept]
    name = f"dalsegno-test-{uuid.uuid4().hex[:8]}"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
