"""Puts compiled pipelines on a cluster and starts runs of them."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dalsegno.cluster.api import Item, KfpApi
from dalsegno.cluster.go_yaml import for_go
from dalsegno.cluster.reading import state_of
from dalsegno.errors import ConflictError, InfrastructureError, NotFoundError
from dalsegno.runs.record import State

_DIGEST_CHARACTERS = 16
_DEFAULT_EXPERIMENT = "Default"
_FIRST_POLL_SECONDS, _MAX_POLL_SECONDS = 0.5, 10.0


@dataclass(frozen=True)
class Published:
    """A version of a pipeline on the cluster.

    Attributes:
        is_new: Whether it was made just now.
    """

    pipeline: str
    pipeline_id: str
    version: str
    version_id: str
    is_new: bool

    @property
    def reference(self) -> dict[str, str]:
        """The API's `PipelineVersionReference`."""
        return {"pipeline_id": self.pipeline_id, "pipeline_version_id": self.version_id}


def publish(api: KfpApi, name: str, text: str, sha256: str, description: str = "") -> Published:
    """Upload a pipeline as a version that is named by its digest; a second time changes nothing.

    Args:
        name: Name of the pipeline.
        text: Its compiled YAML.
        sha256: Digest of the text.
        description: For people who look at it in the UI.
    """
    api.check_version()
    name = kubernetes_name(name)
    try:
        pipeline = api.pipeline_named(name)
    except NotFoundError:
        try:
            pipeline = api.create_pipeline(name, description)
        except ConflictError:
            pipeline = api.pipeline_named(name)  # somebody else was first, just now
    pipeline_id, version = pipeline["pipeline_id"], f"{name}-{sha256[:_DIGEST_CHARACTERS]}"
    found, is_new = api.version_named(pipeline_id, version), False
    if found is None:
        found, is_new = _upload(api, pipeline_id, version, description, for_go(text))
    return Published(name, pipeline_id, version, found["pipeline_version_id"], is_new)


def _upload(
    api: KfpApi, pipeline_id: str, version: str, description: str, text: str
) -> tuple[Item, bool]:
    try:
        return api.upload_version(pipeline_id, version, description, text), True
    except (ConflictError, InfrastructureError):
        found = api.version_named(pipeline_id, version)  # it may be there all the same
        if found is None:
            raise
        return found, False


def submit(
    api: KfpApi,
    published: Published,
    arguments: Mapping[str, Any],
    *,
    experiment: str | None = None,
    display_name: str | None = None,
) -> str:
    """Start a run of a published pipeline.

    Args:
        arguments: Parameters, of the right types.
        experiment: Name of the group of runs; made if it is not there.

    Returns:
        The run's id.
    """
    run: Item = {
        "display_name": display_name
        or f"{published.pipeline} {time.strftime('%Y-%m-%d %H:%M:%S')}",
        "pipeline_version_reference": published.reference,
        "runtime_config": {"parameters": dict(arguments)},
    }
    if name := experiment_name(api, experiment):
        run["experiment_id"] = experiment_id(api, name)
    try:
        return str(api.create_run(run)["run_id"])
    except InfrastructureError as error:
        message = f"{error}; the run may have been started all the same"
        raise InfrastructureError(message, "dalsegno runs --cluster") from error


def experiment_name(api: KfpApi, given: str | None) -> str | None:
    """Return the experiment to use: KFP for several users wants one named, else it has its own."""
    return given or (_DEFAULT_EXPERIMENT if api.health.get("multi_user") else None)


def experiment_id(api: KfpApi, name: str) -> str:
    """Return the id of an experiment; it is made if it is not there."""
    found = api.experiment_named(name)
    if found is None:
        try:
            found = api.create_experiment(name)
        except ConflictError:
            found = api.experiment_named(name) or {}
    return str(found["experiment_id"])


def wait_for(
    api: KfpApi, run_id: str, tell: Callable[[State], None], seconds: float | None = None
) -> Item:
    """Wait until a run has ended.

    Args:
        tell: Told each new state.
        seconds: How long to wait at most; None for as long as it takes.

    Returns:
        The run, as the API has it.

    Raises:
        InfrastructureError: It took longer, or KFP cannot say how it is.
    """
    began, pause, last = time.monotonic(), _FIRST_POLL_SECONDS, None
    while True:
        run = api.run(run_id)
        if "state" not in run and run.get("error"):
            said = str(run["error"].get("message", ""))[-200:]
            raise InfrastructureError(f"run {run_id}: got no state of it ({said}), want one")
        state = state_of(run.get("state", ""))
        if state is not last:
            tell(state)
            last = state
        if state.is_final:
            return run
        if seconds is not None and time.monotonic() - began > seconds:
            message = f"run {run_id}: got no end in {seconds:g} s, want one"
            raise InfrastructureError(message, f"dalsegno show {run_id}")
        time.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
        pause = min(_MAX_POLL_SECONDS, pause * 1.5)


def kubernetes_name(name: str) -> str:
    """Return a name that KFP takes whichever way it stores pipelines."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-")
