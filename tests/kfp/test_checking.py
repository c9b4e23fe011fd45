"""`dalsegno cluster check` against a Kubernetes API: pod security, our rights, the runner's."""

from __future__ import annotations

import pytest

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.checking import check_cluster
from dalsegno.cluster.kubernetes_api import KubernetesApi
from dalsegno.cluster.mlmd import open_metadata_store
from dalsegno.store import open_store

RUNNER = "system:serviceaccount:kubeflow:pipeline-runner"


@pytest.fixture
def check(kubernetes, api, tmp_path):
    """Check the fake cluster and give what was found, by subject."""

    def check():
        access = ClusterAccess(api.access.host, timeout_seconds=5)
        found = check_cluster(
            api,
            open_metadata_store(access),
            KubernetesApi(access),
            str(tmp_path),
            open_store,
        )
        return {item.subject: item for item in found}

    return check


def test_cluster_as_it_should_be_is_ok(check):
    found = check()
    assert found["pod security"].detail == "namespace kubeflow enforces baseline"
    for subject in ("pod security", "your rights", "rights of pipeline-runner", "object store"):
        assert (found[subject].state, found[subject].mend) == ("ok", "")


@pytest.mark.parametrize("level", [None, "privileged"])
def test_namespace_that_enforces_nothing_is_mended_by_a_label(level, kubernetes, check):
    kubernetes.labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    found = check()["pod security"]
    assert found.state == "missing"
    assert found.mend.startswith("kubectl label ns kubeflow pod-security")


@pytest.mark.parametrize(
    ("refused", "subject"),
    [
        (("me", "list", "workflows"), "your rights"),
        ((RUNNER, "get", "secrets"), "rights of pipeline-runner"),
    ],
)
def test_missing_right_is_named_with_a_command_that_shows_it(refused, subject, kubernetes, check):
    kubernetes.refused.add(refused)
    user, verb, resource = refused
    found = check()[subject]
    assert (found.state, found.detail) == ("missing", f"may not {verb} {resource}")
    who = "" if user == "me" else f"--as {user} "
    assert found.mend == f"kubectl auth can-i {verb} {resource} {who}-n kubeflow"


def test_namespace_that_may_not_be_seen_leaves_the_rights_to_be_looked_at(kubernetes, check):
    kubernetes.refused |= {("me", "get", "namespaces"), ("me", "list", "pods")}
    found = check()
    assert (found["pod security"].state, found["your rights"].state) == ("unknown", "missing")
    assert found["pod security"].mend == "kubectl auth can-i get namespaces -n kubeflow"


def test_namespace_that_is_not_there_is_named(kubernetes, check):
    kubernetes.labels = None
    found = check()["pod security"]
    assert (found.state, found.detail) == ("missing", "no namespace kubeflow")


@pytest.mark.parametrize("status", [401, 403, 500])
def test_kubernetes_that_does_not_let_us_look_is_unknown(status, kubernetes, check):
    kubernetes.status = status
    found = check()
    assert (found["Kubernetes"].state, "pod security" in found) == ("unknown", False)
    assert str(status) in found["Kubernetes"].detail
    assert found["Kubernetes"].mend.startswith("kubectl ")


def test_dry_run_sends_the_pod(kubernetes):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}
    assert KubernetesApi(ClusterAccess("http://x", timeout_seconds=5)).dry_run_pod(pod) == pod
    assert kubernetes.bodies == [pod]
