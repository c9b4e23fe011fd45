"""Source `v1beta1`: the workflow with its status, which the API server keeps in its database.

The best one: it outlives the workflow and its pods, and has every attempt. The path and the form
are those of KFP 2.x; v1beta1 is to go some time after ML Metadata does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dalsegno.cluster.api import KfpApi
from dalsegno.cluster.compiled import CompiledPipeline, known_pipeline, parse_compiled
from dalsegno.cluster.reading import Reading, run_record, state_of
from dalsegno.cluster.workflow import read_workflow
from dalsegno.errors import NotFoundError
from dalsegno.runs.record import State


@dataclass(frozen=True)
class ManifestSource:
    """Reads the workflow manifest of the v1beta1 run API."""

    api: KfpApi
    name: str = "v1beta1"

    def read(self, run_id: str) -> Reading:
        """Read a run.

        Raises:
            NotFoundError: There is no such run, or it has run and its manifest has no nodes.
            DalsegnoError: The API does not answer.
        """
        detail = self.api.run_v1(run_id)
        old = detail.get("run") or {}
        pipeline = parse_compiled((old.get("pipeline_spec") or {}).get("pipeline_manifest", ""))
        current, known = known_pipeline(self.api, run_id)
        pipeline = pipeline if pipeline.spec else known
        run = run_record(run_id, current or _modern(old, pipeline), pipeline, self.api.access.host)
        try:
            return read_workflow(_workflow(detail), run, pipeline)
        except NotFoundError:
            if run.state is State.PENDING:
                return Reading(run, pipeline=pipeline)  # Argo has not looked at it yet
            raise


def _workflow(detail: dict[str, Any]) -> dict[str, Any]:
    text = (detail.get("pipeline_runtime") or {}).get("workflow_manifest")
    if not text:
        raise NotFoundError("v1beta1 run: got no workflow manifest, want one with its status")
    try:
        workflow: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotFoundError("v1beta1 run: got a workflow manifest that is no JSON") from error
    return workflow


def _modern(old: dict[str, Any], pipeline: CompiledPipeline) -> dict[str, Any]:
    """Give a v1beta1 run the names of v2beta1."""
    spec = old.get("pipeline_spec") or {}
    return {
        "display_name": pipeline.name or spec.get("pipeline_name") or old.get("name"),
        "created_at": old.get("created_at"),
        "finished_at": old.get("finished_at"),
        "state": state_of(old.get("status", "")).name,
        "runtime_config": spec.get("runtime_config"),
    }
