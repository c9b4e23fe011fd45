"""Looks whether a cluster has what runs and their replay need, and says how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.kubernetes_api import KubernetesApi
from dalsegno.cluster.mlmd import MetadataStore
from dalsegno.errors import DalsegnoError, NotFoundError
from dalsegno.store import Store

_PORT_FORWARD = (
    "kubectl -n kubeflow port-forward svc/ml-pipeline-ui 8080:80 & "
    "export DALSEGNO_KFP_HOST=http://127.0.0.1:8080"
)
_NOBODY = "00000000-0000-4000-8000-000000000000"
_LEVELS = ("privileged", "baseline", "restricted")
_ACCOUNT = "pipeline-runner"
_RIGHTS = (("get", "", "secrets"), ("get", "", "configmaps"), ("get", "", "pods"))
_OURS = (("list", "", "pods"), ("list", "argoproj.io", "workflows"))


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: `ok`, `missing` (it must be mended) or `unknown` (we could not look).
        mend: What to do about it.
    """

    subject: str
    state: str
    detail: str
    mend: str = ""


def check_cluster(
    api: KfpApi,
    metadata: MetadataStore,
    kubernetes: KubernetesApi,
    root: str,
    open_store: Callable[[str], Store],
) -> Iterator[Finding]:
    """Look at one thing after the other; nothing is changed.

    Args:
        root: Pipeline root, whose bucket is looked into.
    """
    endpoint = _tried("endpoint", lambda: f"{api.access.host} answers, {len(api.health)} facts")
    yield endpoint
    if endpoint.state == "ok":
        yield _tried("version", lambda: _version(api))
        yield _namespace(api)
        yield _manifest(api)
    yield _metadata(metadata)
    yield _store(root, open_store)
    yield from _kubernetes(kubernetes)


def _version(api: KfpApi) -> str:
    api.check_version()
    version = api.version()
    return f"KFP {'.'.join(map(str, version))}" if version else "KFP of a version it does not tell"


def _namespace(api: KfpApi) -> Finding:
    several = bool(api.health.get("multi_user"))
    if several and not api.access.namespace:
        mend = "export DALSEGNO_KFP_NAMESPACE=your-profile"
        return Finding("namespace", "missing", "KFP serves several users and none is named", mend)
    return _tried("namespace", lambda: _readable(api))


def _readable(api: KfpApi) -> str:
    api.runs(1)
    whose = api.access.namespace if api.health.get("multi_user") else "the one user"
    return f"runs of {whose} can be read"


def _manifest(api: KfpApi) -> Finding:
    try:
        api.run_v1(_NOBODY)
    except NotFoundError:
        return Finding("manifests", "ok", "the v1beta1 run API answers")
    except DalsegnoError as error:
        return Finding("manifests", "unknown", str(error), "runs are read from ML Metadata then")
    return Finding("manifests", "ok", "the v1beta1 run API answers")


def _metadata(store: MetadataStore) -> Finding:
    try:
        store.run_context(_NOBODY)
    except NotFoundError as error:
        if "got no run" in str(error):
            return Finding("ML Metadata", "ok", f"{store.where} answers")
        return Finding("ML Metadata", "missing", str(error), error.next_command or "")
    except DalsegnoError as error:
        return Finding("ML Metadata", "missing", str(error), _mend(error))
    return Finding("ML Metadata", "ok", f"{store.where} answers")


def _store(root: str, open_store: Callable[[str], Store]) -> Finding:
    try:
        store = open_store(root)
        count = len(store.folders())
    except DalsegnoError as error:
        mend = error.next_command or (
            "kubectl -n kubeflow port-forward svc/seaweedfs 9000:9000; export DALSEGNO_S3_ENDPOINT_"
            "REWRITE=seaweedfs.kubeflow:9000=http://127.0.0.1:9000 and both DALSEGNO_S3_… keys"
        )
        return Finding("object store", "missing", str(error), mend)
    return Finding("object store", "ok", f"{store.uri} can be read, {count} folders")


def _kubernetes(kubernetes: KubernetesApi) -> Iterator[Finding]:
    try:
        sees = kubernetes.may("get", "", "namespaces")  # whom it knows, it answers that
    except DalsegnoError as error:
        said = str(error).removeprefix("Kubernetes").lstrip(": ")
        yield Finding("Kubernetes", "unknown", said, error.next_command or "")
        return
    yield _pod_security(kubernetes, sees)
    for subject, account, rights in (
        ("your rights", None, _OURS),
        (f"rights of {_ACCOUNT}", _ACCOUNT, _RIGHTS),
    ):
        yield _rights(kubernetes, subject, account, rights)


def _pod_security(kubernetes: KubernetesApi, sees: bool) -> Finding:
    subject, space = "pod security", kubernetes.namespace
    if not sees:
        mend = f"kubectl auth can-i get namespaces -n {space}"
        return Finding(subject, "unknown", f"may not get namespace {space}", mend)
    try:
        labels = kubernetes.namespace_labels()
    except NotFoundError:
        return Finding(subject, "missing", f"no namespace {space}", "kubectl get namespaces")
    except DalsegnoError as error:
        return Finding(subject, "unknown", str(error), error.next_command or "")
    level = labels.get("pod-security.kubernetes.io/enforce", "none")
    detail = f"namespace {space} enforces {level}"
    if level in _LEVELS[1:]:
        return Finding(subject, "ok", detail)
    mend = f"kubectl label ns {space} pod-security.kubernetes.io/enforce=baseline"
    return Finding(subject, "missing", detail, mend)


def _rights(
    kubernetes: KubernetesApi,
    subject: str,
    account: str | None,
    rights: tuple[tuple[str, str, str], ...],
) -> Finding:
    try:
        refused = [
            f"{right[0]} {right[2]}" for right in rights if not kubernetes.may(*right, account)
        ]
    except DalsegnoError as error:
        return Finding(subject, "unknown", str(error), error.next_command or "")
    if not refused:
        allowed = ", ".join(f"{verb} {resource}" for verb, _, resource in rights)
        return Finding(subject, "ok", allowed)
    who = f"--as system:serviceaccount:{kubernetes.namespace}:{account} " if account else ""
    verb, resource = refused[0].split()
    mend = f"kubectl auth can-i {verb} {resource} {who}-n {kubernetes.namespace}"
    return Finding(subject, "missing", f"may not {', '.join(refused)}", mend)


def _tried(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, "ok", look())
    except DalsegnoError as error:
        return Finding(subject, "missing", str(error), _mend(error))


def _mend(error: DalsegnoError) -> str:
    """Name the next command, where it is not the check that is under way."""
    command = error.next_command or ""
    return _PORT_FORWARD if command.startswith("dalsegno cluster check") else command
