"""The Kubernetes API, as far as runs and their checks need it: the one module that calls it."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from dalsegno.cluster.access import ClusterAccess
from dalsegno.errors import ConfigurationError, InfrastructureError, NotFoundError

_CONNECT_SECONDS = 5.0
_CHECK = "kubectl cluster-info"
_FORBIDDEN, _UNAUTHORIZED, _NOT_FOUND = 403, 401, 404
Item = dict[str, Any]


class KubernetesApi:
    """Reads what lives in a namespace; inside a pod by its service account."""

    def __init__(self, access: ClusterAccess) -> None:
        self.access = access
        self.namespace = access.namespace or "kubeflow"

    def workflows(self, run_id: str) -> list[Item]:
        """Return the Argo workflows of a run, with their status."""
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/workflows"
        return self._list(path, f"pipeline/runid={run_id}")

    def pods(self, run_id: str) -> list[Item]:
        """Return the pods of a run."""
        return self._list(f"/api/v1/namespaces/{self.namespace}/pods", f"pipeline/runid={run_id}")

    def namespace_labels(self) -> dict[str, str]:
        """Return the labels of the namespace."""
        found = self.call("GET", f"/api/v1/namespaces/{self.namespace}")
        labels: dict[str, str] = found.get("metadata", {}).get("labels") or {}
        return labels

    def may(self, verb: str, group: str, resource: str, account: str | None = None) -> bool:
        """Say whether we, or a service account of the namespace, may do something here."""
        attributes = {
            "namespace": self.namespace,
            "verb": verb,
            "group": group,
            "resource": resource,
        }
        spec: Item = {"resourceAttributes": attributes}
        kind = "SelfSubjectAccessReview"
        if account:
            kind = "SubjectAccessReview"
            spec["user"] = f"system:serviceaccount:{self.namespace}:{account}"
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        path = f"/apis/authorization.k8s.io/v1/{kind.lower()}s"
        return bool(self.call("POST", path, body).get("status", {}).get("allowed"))

    def dry_run_pod(self, pod: Item) -> Item:
        """Ask the server whether it would accept a pod in the namespace, without making it."""
        return self.call("POST", f"/api/v1/namespaces/{self.namespace}/pods?dryRun=All", pod)

    def call(self, method: str, path: str, body: Item | None = None) -> Item:
        """Make a call and return its JSON answer.

        Raises:
            NotFoundError: There is no such thing.
            ConfigurationError: No configuration, or no right.
            InfrastructureError: No answer.
        """
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = self._client.call_api(
                path,
                method,
                body=body,
                header_params={"Accept": "application/json", "Content-Type": "application/json"},
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=(_CONNECT_SECONDS, self.access.timeout_seconds),
                response_type="object",
                _return_http_data_only=True,
            )
        except ApiException as error:
            raise self._refusal(path, error) from error
        except (HTTPError, OSError) as error:
            cause = type(getattr(error, "reason", error)).__name__  # not that it was tried often
            message = f"Kubernetes: got no answer ({cause}), want one"
            raise InfrastructureError(message, _CHECK) from error
        found: Item = json.loads(answer.data)
        return found

    def _list(self, path: str, selector: str) -> list[Item]:
        found = self.call("GET", f"{path}?labelSelector={selector}&limit=2000")
        items: list[Item] = found.get("items") or []
        return items

    def _refusal(self, path: str, error: Any) -> Exception:
        where = f"Kubernetes {path.partition('?')[0]}"
        if error.status == _UNAUTHORIZED:
            message = f"{where}: got 401 {error.reason}, want credentials that it knows"
            return ConfigurationError(message, "kubectl auth whoami")
        if error.status == _FORBIDDEN:
            message = f"{where}: got 403 {error.reason}, want the right to it"
            return ConfigurationError(message, f"kubectl auth can-i --list -n {self.namespace}")
        if error.status == _NOT_FOUND:
            return NotFoundError(f"{where}: got no such thing, want one")
        said = " ".join(str(error.body or error.reason).split())[:300]
        return InfrastructureError(f"{where}: got {error.status} {said}, want an answer", _CHECK)

    @cached_property
    def _client(self) -> Any:
        from kubernetes import client, config

        configuration = client.Configuration()
        configuration.retries = 2
        try:
            config.load_kube_config(
                context=self.access.kubernetes_context, client_configuration=configuration
            )
        except config.ConfigException as error:
            try:
                config.load_incluster_config(client_configuration=configuration)
            except config.ConfigException:
                got = "no configuration of kubectl that fits"
                message = f"Kubernetes: got {got} ({error}), want a context"
                raise ConfigurationError(message, "kubectl config get-contexts") from error
        return client.ApiClient(configuration)
