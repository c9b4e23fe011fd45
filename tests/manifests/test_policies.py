"""What no schema tells: the rules that our manifests keep."""

from __future__ import annotations

import re

import pytest
import yaml

from dalsegno.serving.__main__ import _parser
from dalsegno.settings import PREFIX, Settings
from tests.manifests.rendering import (
    MANIFESTS,
    OVERLAYS,
    SERVERS,
    containers,
    of_kind,
    pods,
    render,
)

DOCS = (MANIFESTS.parent / "docs" / "kubernetes.md").read_text()
EACH = [(overlay, server) for overlay in OVERLAYS for server in SERVERS]
each = pytest.mark.parametrize(("overlay", "server"), EACH)


def all_containers(overlay, server):
    return [
        (name, pod, container)
        for name, pod in pods(render(overlay, server)).items()
        for container in containers(pod)
    ]


def effective(pod, container, field):
    return container["securityContext"].get(
        field, pod["spec"].get("securityContext", {}).get(field)
    )


def matches(selector, labels):
    wanted = selector.get("matchLabels", {}).items()
    keys = [item["key"] for item in selector.get("matchExpressions", [])]
    return all(labels.get(key) == value for key, value in wanted) and set(keys) <= set(labels)


@each
def test_containers_are_restricted(overlay, server):
    found = all_containers(overlay, server)
    assert len(found) == 3
    for _, pod, container in found:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert effective(pod, container, "runAsNonRoot") is True
        assert effective(pod, container, "runAsUser") > 0
        assert effective(pod, container, "seccompProfile") == {"type": "RuntimeDefault"}
        assert not any(pod["spec"].get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))


@each
def test_our_namespace_enforces_restricted(overlay, server):
    (namespace,) = of_kind(render(overlay, server), "Namespace")
    assert namespace["metadata"]["name"] == "dalsegno"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@each
def test_images_have_a_version(overlay, server):
    for _, _, container in all_containers(overlay, server):
        assert re.fullmatch(r"[a-z.]+(/[a-z-]+)+:\d+\.\d+(\.\d+)?", container["image"])


@each
def test_containers_state_requests_and_limits(overlay, server):
    for _, _, container in all_containers(overlay, server):
        resources = container["resources"]
        assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory"}


@each
def test_containers_have_probes_on_their_ports(overlay, server):
    for _, _, container in all_containers(overlay, server):
        names = {port.get("name") for port in container["ports"]}
        numbers = {port["containerPort"] for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]
            assert "exec" in probe or probe["httpGet"]["port"] in names | numbers


@each
def test_server_is_ready_only_with_a_warm_model(overlay, server):
    (container,) = (
        item for _, _, item in all_containers(overlay, server) if "serving" in item["image"]
    )
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert _parser().parse_args(container["args"]).host == "0.0.0.0"
    assert f"--port={container['ports'][0]['containerPort']}" in container["args"]


@each
def test_writable_places_are_volumes(overlay, server):
    for _, pod, container in all_containers(overlay, server):
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
        declared = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        assert mounted <= declared | {"data"}


@each
def test_service_accounts_have_no_token_and_no_role(overlay, server):
    documents = render(overlay, server)
    accounts = {item["metadata"]["name"]: item for item in of_kind(documents, "ServiceAccount")}
    assert all(item["automountServiceAccountToken"] is False for item in accounts.values())
    assert not of_kind(documents, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    for pod in pods(documents).values():
        assert pod["spec"]["serviceAccountName"] in accounts
        assert pod["spec"]["automountServiceAccountToken"] is False


@each
def test_selectors_match_pods(overlay, server):
    documents = render(overlay, server)
    labels = [pod["metadata"]["labels"] for pod in pods(documents).values()]
    for item in of_kind(documents, "Service"):
        assert any(matches({"matchLabels": item["spec"]["selector"]}, own) for own in labels)
    for item in of_kind(documents, "Deployment", "StatefulSet"):
        own = item["spec"]["template"]["metadata"]["labels"]
        assert matches(item["spec"]["selector"], own)
    for item in of_kind(documents, "PodDisruptionBudget"):
        assert any(matches(item["spec"]["selector"], own) for own in labels)
    for item in of_kind(documents, "NetworkPolicy"):
        if item["metadata"]["namespace"] == "dalsegno":
            assert any(matches(item["spec"]["podSelector"], own) for own in labels)


@each
def test_services_lead_to_ports(overlay, server):
    documents = render(overlay, server)
    for service in of_kind(documents, "Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        (pod,) = (
            pod for pod in pods(documents).values() if matches(selector, pod["metadata"]["labels"])
        )
        names = {port["name"] for item in containers(pod) for port in item["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


@each
def test_network_is_closed_but_for_ports_that_are_served(overlay, server):
    documents = render(overlay, server)
    policies = [
        item
        for item in of_kind(documents, "NetworkPolicy")
        if item["metadata"]["namespace"] == "dalsegno"
    ]
    closed = [item["spec"] for item in policies if item["spec"]["podSelector"] == {}]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in closed
    for item in policies:
        for rule in item["spec"].get("ingress", []):
            assert rule["from"]
            served = {
                port["containerPort"]
                for pod in pods(documents).values()
                if matches(item["spec"]["podSelector"], pod["metadata"]["labels"])
                for container in containers(pod)
                for port in container["ports"]
            }
            assert {port["port"] for port in rule["ports"]} <= served


@each
def test_every_pod_reaches_what_it_needs(overlay, server):
    documents = render(overlay, server)
    opened = {}
    for item in of_kind(documents, "NetworkPolicy"):
        for name, pod in pods(documents).items():
            is_ours = item["metadata"]["namespace"] == "dalsegno"
            if is_ours and matches(item["spec"]["podSelector"], pod["metadata"]["labels"]):
                rules = item["spec"].get("egress", [])
                ports = {port["port"] for rule in rules for port in rule["ports"]}
                opened.setdefault(name.partition("/")[2], set()).update(ports)
    store = {"kind": 8333, "s3": 443, "gcs": 443}[overlay]
    assert opened["postgres"] == {53}
    assert {53, 5432, store} <= opened["mlflow"]
    assert {53, store} <= opened["titanic"]
    assert 5432 not in opened["titanic"]


@each
def test_nothing_in_kubeflow_is_cut_off(overlay, server):
    for item in render(overlay, server):
        if item["metadata"].get("namespace") != "kubeflow":
            continue
        assert item["kind"] in {"Secret", "NetworkPolicy"}
        if item["kind"] == "NetworkPolicy":  # KFP's own policy selects these pods already
            assert item["spec"]["podSelector"] == {"matchLabels": {"app": "seaweedfs"}}
            assert item["spec"]["policyTypes"] == ["Ingress"]
            assert item["spec"]["ingress"][0]["ports"] == [{"port": 8333}]


def referenced_secrets(documents):
    found = set()
    for pod in pods(documents).values():
        for container in containers(pod):
            found |= {item["secretRef"]["name"] for item in container.get("envFrom", [])}
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                found |= {reference["name"]} if reference else set()
    return found


@each
def test_referenced_secrets_are_generated_or_documented(overlay, server):
    documents = render(overlay, server)
    wanted = referenced_secrets(documents)
    assert wanted == {"dalsegno-settings", "mlflow-database", "mlflow-artifacts"}
    made = {item["metadata"]["name"] for item in of_kind(documents, "Secret", "ConfigMap")}
    if overlay == "kind":
        assert wanted <= made
    else:
        assert not made
        assert all(f"create secret generic {name} " in DOCS for name in wanted)


@pytest.mark.parametrize("server", SERVERS)
def test_only_the_kind_overlay_holds_credentials(server):
    assert len(of_kind(render("kind", server), "Secret")) == 4
    for path in MANIFESTS.rglob("*"):
        if path.is_file() and "kind" not in path.relative_to(MANIFESTS).parts:
            text = path.read_text()
            assert "minio123" not in text
            assert not re.search(r"(?i)(password|secret_?key)\s*[:=]\s*\w{3,}", text), path


def test_task_pods_and_server_are_told_the_same():
    secrets = [
        item
        for item in of_kind(render("kind", "server"), "Secret")
        if item["metadata"]["name"] == "dalsegno-settings"
    ]
    assert {item["metadata"]["namespace"] for item in secrets} == {"dalsegno", "kubeflow"}
    assert secrets[0]["data"] == secrets[1]["data"]
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(secrets[0]["data"]) <= known


def test_kserve_brings_no_model_and_adds_nothing_to_the_pod():
    """KServe adds its agent for many models wherever a `model` names no storage."""
    (service,) = of_kind(render("s3", "kserve"), "InferenceService")
    assert "model" not in service["spec"]["predictor"]
    (container,) = service["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"


@each
def test_mlflow_names_the_driver_that_its_image_has(overlay, server):
    (container,) = pods(render(overlay, server))["Deployment/mlflow"]["spec"]["containers"]
    (uri,) = (
        item["value"] for item in container["env"] if item["name"] == "MLFLOW_BACKEND_STORE_URI"
    )
    assert uri == "postgresql+psycopg2://mlflow:$(DATABASE_PASSWORD)@postgres:5432/mlflow"
    lock = (MANIFESTS.parent / "requirements" / "mlflow.txt").read_text()
    assert "\npsycopg2-binary==" in lock


@each
def test_mlflow_takes_requests_to_each_address_that_is_documented(overlay, server):
    (container,) = pods(render(overlay, server))["Deployment/mlflow"]["spec"]["containers"]
    values = {item["name"]: item.get("value") for item in container["env"]}
    documented = set(re.findall(r"http://([\w.]+:5000)\b", DOCS))
    assert {"mlflow.dalsegno:5000", "127.0.0.1:5000"} == documented
    assert documented <= set(values["MLFLOW_SERVER_ALLOWED_HOSTS"].split(","))


def test_kfp_is_pinned():
    for path in (MANIFESTS / "kfp").rglob("kustomization.yaml"):
        (resource,) = yaml.safe_load(path.read_text())["resources"]
        assert resource.endswith("&ref=2.17.0")
