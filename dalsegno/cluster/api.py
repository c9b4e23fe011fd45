"""The REST API of Kubeflow Pipelines: the one module that knows its paths and forms.

Forms are those of `backend/api/v2beta1/swagger`; what only v1beta1 and v1alpha1 have says so.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from dalsegno.cluster.access import ClusterAccess
from dalsegno.cluster.transport import Transport
from dalsegno.errors import ConfigurationError, InfrastructureError, InputError, NotFoundError

_V2 = "/apis/v2beta1"
_PAGE = 100
_BUILT_FOR = (2, 17)
_TOO_OLD, _TOO_NEW = (2, 14), (4, 0)  # before 2.14 a pipeline had no name beside its display name
_OF_THE_UI = {"tag_name": "apiServerTagName", "multi_user": "apiServerMultiUser"}
_NAMESPACE = "kubeflow"
_OK, _KIND = 200, "content-type"
_NO_LOG = '{"error_message":'

Item = dict[str, Any]


class KfpApi:
    """Calls of the API server, each named after what it does."""

    def __init__(self, access: ClusterAccess) -> None:
        self.access = access
        self.http = Transport(access)

    @cached_property
    def health(self) -> Item:
        """`tag_name` (version), `multi_user`, `pipeline_store`; the UI has other names for them.

        Raises:
            InfrastructureError: The UI does not reach its API server.
        """
        found: Item = self.http.json("GET", f"{_V2}/healthz")
        if found.get("apiServerReady") is False:
            message = f"KFP {self.access.host}: got a UI without its API server, want both"
            raise InfrastructureError(message, "kubectl -n kubeflow get deploy ml-pipeline")
        return {**found, **{name: found[ui] for name, ui in _OF_THE_UI.items() if ui in found}}

    def version(self) -> tuple[int, int] | None:
        """Return the server's version; None where its image does not say."""
        found = re.match(r"v?(\d+)\.(\d+)", str(self.health.get("tag_name", "")))
        return (int(found[1]), int(found[2])) if found else None

    def check_version(self) -> None:
        """Refuse a server that does not speak what is spoken here.

        Raises:
            ConfigurationError: KFP is too old or too new.
        """
        version = self.version()
        if version and not _TOO_OLD <= version < _TOO_NEW:
            got = ".".join(map(str, version))
            want = ".".join(map(str, _BUILT_FOR))
            message = (
                f"KFP {self.access.host}: got version {got}, want 2.14 to 3 (built for {want})"
            )
            raise ConfigurationError(message, "dalsegno cluster check")

    # Runs

    def run(self, run_id: str) -> Item:
        """Return a run."""
        found: Item = self.http.json("GET", f"{_V2}/runs/{_part(run_id)}")
        return found

    def run_v1(self, run_id: str) -> Item:
        """Return a run as v1beta1 has it: `run`, `pipeline_runtime.workflow_manifest`."""
        found: Item = self.http.json("GET", f"/apis/v1beta1/runs/{_part(run_id)}")
        return found

    def runs(self, limit: int, **filters: Any) -> list[Item]:
        """Return runs, newest first."""
        query = self._query(sort_by="created_at desc", **filters)
        return list(self._pages(f"{_V2}/runs", "runs", query, limit))

    def create_run(self, run: Item) -> Item:
        """Start a run; never repeated: it would run twice."""
        found: Item = self.http.json("POST", f"{_V2}/runs", json=run)
        return found

    def cancel_run(self, run_id: str) -> None:
        """Stop a run; one that is being stopped already is fine.

        Raises:
            InputError: It has ended.
        """
        try:
            self.http.json("POST", f"{_V2}/runs/{_part(run_id)}:terminate", idempotent=True)
        except InputError as error:
            state = self.run(run_id).get("state", "")
            if state in ("CANCELING", "CANCELED"):
                return
            if isinstance(error, NotFoundError) or state not in ("SUCCEEDED", "FAILED", "SKIPPED"):
                raise
            message = f"run {run_id}: got one that has ended ({state}), want one that runs"
            raise InputError(message, f"dalsegno show {run_id}") from error

    def retry_run(self, run_id: str) -> None:
        """Start the failed tasks of a run again, with the same code and inputs."""
        self.http.json("POST", f"{_V2}/runs/{_part(run_id)}:retry")

    def pod_log(self, run_id: str, pod: str) -> Iterator[str]:
        """Yield the log of a pod as it is now: of the pod, else of Argo's archive.

        The API server has it under v1alpha1, and takes `follow` from where it never is; the UI,
        which passes on v1beta1 and v2beta1 alone, has it elsewhere.

        Raises:
            NotFoundError: There is none; the server says so behind a status of 200.
        """
        path = f"/apis/v1alpha1/runs/{_part(run_id)}/nodes/{_part(pod)}/log"
        space = self.access.namespace or _NAMESPACE
        names = {"podname": pod, "runid": run_id, "podnamespace": space}
        for place, query in ((path, {}), ("/k8s/pod/logs", names)):
            with self.http.stream(place, params=query) as answer:
                if answer.status_code == _OK and "html" not in answer.headers.get(_KIND, ""):
                    yield from _checked(pod, answer.iter_text())
                    return
        raise NotFoundError(f"log of pod {pod}: got {answer.status_code}, want a log")

    # Pipelines

    def pipeline_named(self, name: str) -> Item:
        """Return a pipeline by name."""
        path = f"{_V2}/pipelines/names/{_part(name)}"
        found: Item = self.http.json("GET", path, params=self._query())
        return found

    def versions(self, pipeline_id: str, limit: int = _PAGE, **filters: Any) -> list[Item]:
        """Return the versions of a pipeline, newest first."""
        path = f"{_V2}/pipelines/{_part(pipeline_id)}/versions"
        query = {"sort_by": "created_at desc", **filters}
        return list(self._pages(path, "pipeline_versions", query, limit))

    def version_named(self, pipeline_id: str, name: str) -> Item | None:
        """Return a version of a pipeline by name."""
        found = self.versions(pipeline_id, 2, filter=equals("name", name))
        return next((item for item in found if _name(item) == name), None)

    def pipeline_version(self, pipeline_id: str, version_id: str) -> Item:
        """Return a version, with its `pipeline_spec`."""
        path = f"{_V2}/pipelines/{_part(pipeline_id)}/versions/{_part(version_id)}"
        found: Item = self.http.json("GET", path)
        return found

    def create_pipeline(self, name: str, description: str) -> Item:
        """Make a pipeline that has no version yet."""
        body = {"name": name, "display_name": name, "description": description}
        if self.access.namespace:
            body["namespace"] = self.access.namespace
        found: Item = self.http.json("POST", f"{_V2}/pipelines", json=body)
        return found

    def upload_version(self, pipeline_id: str, name: str, description: str, text: str) -> Item:
        """Add a version to a pipeline."""
        query = {"name": name, "pipelineid": pipeline_id, "description": description}
        files = {"uploadfile": (f"{PurePath(name).name}.yaml", text.encode(), "application/yaml")}
        found: Item = self.http.json(
            "POST", f"{_V2}/pipelines/upload_version", params=query, files=files
        )
        return found

    # Experiments

    def experiment_named(self, name: str) -> Item | None:
        """Return an experiment by name."""
        query = self._query(filter=equals("display_name", name))
        found = self._pages(f"{_V2}/experiments", "experiments", query, _PAGE)
        return next((item for item in found if item.get("display_name") == name), None)

    def create_experiment(self, name: str) -> Item:
        """Make an experiment."""
        body = {"display_name": name}
        if self.access.namespace:
            body["namespace"] = self.access.namespace
        found: Item = self.http.json("POST", f"{_V2}/experiments", json=body)
        return found

    # Recurring runs

    def schedules(self, limit: int = 1000) -> list[Item]:
        """Return the recurring runs, newest first."""
        query = self._query(sort_by="created_at desc")
        return list(self._pages(f"{_V2}/recurringruns", "recurringRuns", query, limit))

    def create_schedule(self, schedule: Item) -> Item:
        """Make a recurring run; never repeated: there would be two."""
        found: Item = self.http.json("POST", f"{_V2}/recurringruns", json=schedule)
        return found

    def switch_schedule(self, schedule_id: str, *, on: bool) -> None:
        """Enable or disable a recurring run."""
        path = f"{_V2}/recurringruns/{_part(schedule_id)}:{'enable' if on else 'disable'}"
        self.http.json("POST", path, idempotent=True)

    def delete_schedule(self, schedule_id: str) -> None:
        """Remove a recurring run; the runs that it started stay. One that is gone is fine."""
        with contextlib.suppress(NotFoundError):
            self.http.json("DELETE", f"{_V2}/recurringruns/{_part(schedule_id)}", idempotent=True)

    # KFP 3.0: tasks and artifacts without ML Metadata

    def tasks(self, run_id: str) -> list[Item]:
        """Return the tasks of a run (3.0)."""
        return list(self._pages(f"{_V2}/runs/{_part(run_id)}/tasks", "tasks", {}, 10_000))

    def _query(self, **values: Any) -> Item:
        if self.access.namespace:
            values["namespace"] = self.access.namespace
        return values

    def _pages(self, path: str, key: str, query: Item, limit: int) -> Iterator[Item]:
        token = ""
        while limit > 0:
            params = {**query, "page_size": min(limit, _PAGE)}
            page = self.http.json("GET", path, params={**params, "page_token": token})
            items = page.get(key) or []
            yield from items[:limit]
            limit -= len(items)
            token = page.get("next_page_token") or ""
            if not token:
                return


def equals(key: str, value: str) -> str:
    """Write a filter of the list calls: one key equals one string."""
    predicate = {"operation": "EQUALS", "key": key, "string_value": value}
    return json.dumps({"predicates": [predicate]})


def _checked(pod: str, parts: Iterator[str]) -> Iterator[str]:
    first = next(parts, "")
    if first.startswith(_NO_LOG):
        said = json.loads("".join([first, *parts])).get("error_message", "")
        raise NotFoundError(f"log of pod {pod}: {' '.join(said.split())[-200:]}")
    yield first
    yield from parts


def _name(item: Item) -> str | None:
    return item.get("name") or item.get("display_name")


def _part(name: str) -> str:
    """Quote one part of a path, so that no name reaches another path."""
    if name in ("", ".", ".."):
        raise NotFoundError(f"KFP: got the name {name!r}, want one that can exist")
    return quote(name, safe="")
