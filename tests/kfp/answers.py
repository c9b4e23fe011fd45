"""A local run, written down as a cluster would have it. From source: see README.md."""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from dalsegno.cluster.mlmd_stubs import metadata_store_pb2 as mlmd
from dalsegno.engine.spec import Pipeline
from dalsegno.runs.reader import read_log, task_records
from dalsegno.runs.record import RunRecord, State, TaskRecord
from dalsegno.store import Store

ROOT = "minio://tests/v2/artifacts"
PHASES = {"succeeded": "Succeeded", "failed": "Failed", "cached": "Succeeded"}
TYPES = {10: "system.DAGExecution", 11: "system.ContainerExecution"}
LIVE, DEAD = 1_790_000_000, 1_790_000_060


@dataclass
class ClusterRun:
    """A run of the local engine in a cluster's clothes.

    Attributes:
        retried: Whether every node carries the attempt that Argo's template defaults add.
    """

    run: RunRecord
    records: list[TaskRecord]
    pipeline: Pipeline
    logs: dict[str, str] = field(default_factory=dict)
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    retried: bool = False
    cached: frozenset[str] = frozenset()

    @classmethod
    def of(cls, run: RunRecord, store: Store, pipeline: Pipeline, **options: Any) -> ClusterRun:
        records = list(task_records(store, run))
        made = cls(run, [], pipeline, **options)
        before = f"{store.uri}/runs/{run.run_id}/artifacts"
        for record in records:
            made.logs[f"{record.task}/{record.attempt}"] = read_log(store, record)
            text = json.dumps(record.executor_input).replace(before, made.root)
            record.executor_input = json.loads(text)
            for entry in record.executor_input.get("inputs", {}).get("artifacts", {}).values():
                for item in entry["artifacts"]:
                    item["type"] = {"instanceSchema": ""}  # as recorded: of what ML Metadata gives
            made.records.append(record)
        return made

    @property
    def workflow_name(self) -> str:
        return f"{self.pipeline.name}-x7k2p"

    @property
    def root(self) -> str:
        """GenerateOutputURI(pipelineRoot, [pipelineName, runID])."""
        return f"{ROOT}/{self.pipeline.name}/{self.run_id}"

    # The run API

    def v2(self) -> dict[str, Any]:
        states = {State.SUCCEEDED: "SUCCEEDED", State.FAILED: "FAILED"}
        return {
            "experiment_id": "6a1b0a3e-0000-4000-8000-000000000000",
            "run_id": self.run_id,
            "display_name": f"{self.pipeline.name} today",
            "storage_state": "AVAILABLE",
            "pipeline_spec": {
                "pipeline_spec": self.pipeline.spec,
                **({"platform_spec": {"platforms": {}}} if self.pipeline.platform else {}),
            },
            "runtime_config": {"parameters": self.run.parameters, "pipeline_root": ROOT},
            "service_account": "pipeline-runner",
            "created_at": "2026-09-21T12:53:20Z",
            "scheduled_at": "2026-09-21T12:53:20Z",
            "finished_at": "2026-09-21T12:54:20Z",
            "state": states[self.run.state],
        }

    def v1(self, workflow: dict[str, Any] | None = None) -> dict[str, Any]:
        return {
            "run": {
                "id": self.run_id,
                "name": f"{self.pipeline.name} today",
                "pipeline_spec": {
                    "pipeline_name": self.pipeline.name,
                    "pipeline_manifest": self.pipeline.text,
                    "runtime_config": {"parameters": self.run.parameters},
                },
                "created_at": "2026-09-21T12:53:20Z",
                "finished_at": "2026-09-21T12:54:20Z",
                "status": "Failed" if self.run.state is State.FAILED else "Succeeded",
            },
            "pipeline_runtime": {"workflow_manifest": json.dumps(workflow or self.workflow())},
        }

    # Argo

    def workflow(self, form: str = "plain") -> dict[str, Any]:
        nodes = {node["id"]: node for node in self.nodes()}
        status: dict[str, Any] = {"phase": "Failed", "startedAt": "2026-09-21T12:53:20Z"}
        if form == "plain":
            status["nodes"] = nodes
        elif form == "compressed":
            packed = gzip.compress(json.dumps(nodes).encode())
            status["compressedNodes"] = base64.b64encode(packed).decode()
        else:
            status["offloadNodeStatusVersion"] = "fnv:1234567"
        parameters = [
            {"name": f"implementations-{name}", "value": json.dumps(item.get("container", {}))}
            for name, item in self.pipeline.spec["deploymentSpec"]["executors"].items()
        ]
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {
                "name": self.workflow_name,
                "namespace": "kubeflow",
                "labels": {"pipeline/runid": self.run_id},
                "creationTimestamp": "2026-09-21T12:53:20Z",
            },
            "spec": {"arguments": {"parameters": parameters}},
            "status": status,
        }

    def nodes(self) -> list[dict[str, Any]]:
        made = [self._node("", "entrypoint", "DAG"), self._node("root", "root", "DAG")]
        made.append(self._node("root-driver", "system-dag-driver", "Pod"))
        last = {record.task: record.attempt for record in self.records}
        for record in self.records:
            if record.task in self.cached:
                made += self._cached_nodes(record)
            else:
                made += self._task_nodes(record, last[record.task])
        started = {record.task for record in self.records}
        for path, summary in self.run.tasks.items():
            if path not in started and summary.state is State.SKIPPED:
                name = self.argo_name(path)
                made.append(self._node(name, "comp-x", "Skipped", phase="Omitted"))
        return made

    def _task_nodes(self, record: TaskRecord, last: int) -> list[dict[str, Any]]:
        name = self.argo_name(record.task)
        patch = json.dumps(self.pod_spec(record))
        driver = self._driver(record, name)
        driver["outputs"]["parameters"][0]["value"] = patch
        prefix = "retry-" if last > 1 else ""
        phase = PHASES[record.state]
        suffix = f"({record.attempt - 1})" if last > 1 and not self.retried else ""
        pod = self._node(
            f"{name}.executor{suffix}",
            f"{prefix}system-container-impl",
            "Pod",
            phase=phase,
            attempt=record.attempt - 1,
            inputs={"parameters": [{"name": "pod-spec-patch", "value": patch}]},
            outputs={"exitCode": "0" if phase == "Succeeded" else "1"},
            startedAt=f"2026-09-21T12:53:{20 + record.attempt}Z",
            finishedAt=f"2026-09-21T12:53:{30 + record.attempt}Z",
        )
        if phase == "Failed":
            pod["message"] = "main: Error (exit code 1)"
        executor = self._node(name, f"{prefix}system-container-executor", "DAG", phase=phase)
        group = self._node(
            f"{name}.executor", f"{prefix}system-container-impl", "Retry", attempt=None
        )
        return [driver, executor, *([group] if suffix or self.retried else []), pod]

    def _cached_nodes(self, record: TaskRecord) -> list[dict[str, Any]]:
        name = self.argo_name(record.task)
        driver = self._driver(record, name)
        driver["outputs"]["parameters"] = [
            {"name": "pod-spec-patch", "value": ""},
            {"name": "cached-decision", "value": "true"},
            {"name": "condition", "value": "true"},
        ]
        skipped = self._node(
            f"{name}.executor", "system-container-impl", "Skipped", phase="Skipped"
        )
        return [driver, self._node(name, "system-container-executor", "DAG"), skipped]

    def _driver(self, record: TaskRecord, name: str) -> dict[str, Any]:
        label = record.component_spec["executorLabel"]
        container = f"{{{{workflow.parameters.implementations-{label}}}}}"
        return self._node(
            f"{name}-driver",
            "system-container-driver",
            "Pod",
            inputs={
                "parameters": [
                    {"name": "component", "value": json.dumps(record.component_spec)},
                    {
                        "name": "task",
                        "value": json.dumps({"componentRef": {"name": record.component}}),
                    },
                    {"name": "container", "value": container},
                    {"name": "task-name", "value": record.task.rpartition("/")[2]},
                ]
            },
            outputs={
                "parameters": [
                    {"name": "pod-spec-patch", "value": ""},
                    {"name": "cached-decision", "value": "false"},
                    {"name": "condition", "value": "true"},
                ]
            },
        )

    def _node(self, name: str, template: str, kind: str, **fields: Any) -> dict[str, Any]:
        attempt = fields.pop("attempt", 0)
        full = self.workflow_name + ("(0)" if self.retried else "")
        for part in name.split(".") if name else []:
            full += f".{part}" + ("(0)" if self.retried else "")
        if self.retried and attempt is None:
            full = full.removesuffix("(0)")
        elif self.retried and attempt:
            full = f"{full.removesuffix('(0)')}({attempt})"
        return {
            "id": f"{self.workflow_name}-{abs(hash((full, kind))) % 10**10}",
            "name": full,
            "displayName": full.rpartition(".")[2],
            "type": kind,
            "templateName": template,
            "phase": "Succeeded",
            "startedAt": "2026-09-21T12:53:20Z",
            "finishedAt": "2026-09-21T12:53:21Z",
            **fields,
        }

    def argo_name(self, path: str) -> str:
        """Name the node of a task as dag.go nests its templates."""
        parts, spec = ["root"], self.pipeline.spec["root"]
        for part in path.split("/"):
            tasks = spec["dag"]["tasks"]
            name = part if part in tasks else part.rpartition("-iteration-")[0]
            task = tasks[name]
            if task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED":
                parts += [task["dependentTasks"][0], "onExit"]
            parts.append(name)
            if name != part:
                index = part.rpartition("-")[2]
                parts += [f"iteration-iterations({index}:{index})", "iteration-item"]
            spec = self.pipeline.spec["components"][task["componentRef"]["name"]]
        return ".".join(parts)

    def pod_spec(self, record: TaskRecord) -> dict[str, Any]:
        """Write the driver's patch: initPodSpecPatch."""
        given = json.loads(json.dumps(record.executor_input))
        defaults = record.component_spec.get("inputDefinitions", {}).get("parameters", {})
        values = given.get("inputs", {}).get("parameterValues", {})
        for name in [name for name in values if values[name] == defaults[name].get("defaultValue")]:
            del values[name]
        command = [
            "/kfp-launcher/launch",
            *("--executor_type", "container", "--pipeline_name", self.pipeline.name),
            *("--run_id", self.run_id, "--execution_id", "42"),
            *("--executor_input", json.dumps(given)),
            *("--component_spec", json.dumps(record.component_spec)),
            *("--pod_name", "$(KFP_POD_NAME)", "--pod_uid", "$(KFP_POD_UID)"),
            *("--publish_logs", "true", "--ml_pipeline_tls_enabled=false"),
            *("--ca_cert_path", "", "--log_level", "1", "--"),
        ]
        return {
            "containers": [
                {
                    "name": "main",
                    "image": record.image,
                    "command": command,
                    "args": [*record.command, *record.args],
                    "env": [
                        {"name": "PLAIN", "value": "1"},
                        {
                            "name": "PASSWORD",
                            "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}},
                        },
                    ],
                    "resources": {},
                }
            ]
        }

    # ML Metadata

    def metadata(self) -> Metadata:
        found = Metadata()
        found.contexts[self.run_id] = mlmd.Context(
            id=7, type_id=2, type="system.PipelineRun", name=self.run_id
        )
        session = {"Provider": "minio", "Params": {"endpoint": "seaweedfs.kubeflow:9000"}}
        for key, value in (
            ("pipeline_root", self.root),
            ("namespace", "kubeflow"),
            ("store_session_info", json.dumps(session)),
        ):
            found.contexts[self.run_id].custom_properties[key].string_value = value
        graphs = {"": found.graph(None, None)}
        last = {record.task: record for record in self.records}
        for path, record in last.items():
            parent, name, index = self._parents(found, graphs, path)
            found.task(record, name, parent, index, cached=path in self.cached, root=self.root)
        return found

    def _parents(
        self, found: Metadata, graphs: dict[str, int], path: str
    ) -> tuple[int, str, int | None]:
        *above, last = path.split("/")
        here = ""
        for part in above:
            before, here = here, f"{here}/{part}" if here else part
            if here in graphs:
                continue
            name, looped, index = part.rpartition("-iteration-")
            if looped:
                loop = f"{here.rpartition('-iteration-')[0]}"
                if loop not in graphs:
                    graphs[loop] = found.graph(name, graphs[before], count=9)
                graphs[here] = found.graph(name, graphs[loop], index=int(index))
            else:
                graphs[here] = found.graph(part, graphs[before])
        name, looped, index = last.rpartition("-iteration-")
        return graphs[here], name if looped else last, int(index) if looped else None


@dataclass
class Metadata:
    """What ML Metadata holds."""

    contexts: dict[str, mlmd.Context] = field(default_factory=dict)
    executions: dict[int, mlmd.Execution] = field(default_factory=dict)
    events: list[mlmd.Event] = field(default_factory=list)
    artifacts: dict[int, mlmd.Artifact] = field(default_factory=dict)
    elsewhere: set[int] = field(default_factory=set)
    types: dict[int, str] = field(default_factory=lambda: dict(TYPES))

    def graph(
        self,
        name: str | None,
        parent: int | None,
        *,
        count: int | None = None,
        index: int | None = None,
    ) -> int:
        made = self._execution("system.DAGExecution", 10, name, parent, index)
        if count is not None:
            made.custom_properties["iteration_count"].int_value = count
        made.custom_properties["total_dag_tasks"].int_value = 3
        return int(made.id)

    def task(
        self,
        record: TaskRecord,
        name: str,
        parent: int,
        index: int | None,
        *,
        cached: bool,
        root: str,
    ) -> None:
        made = self._execution("system.ContainerExecution", 11, name, parent, index)
        properties = made.custom_properties
        properties["image"].string_value = record.image
        properties["pod_name"].string_value = f"pod-of-{name}"
        inputs = record.executor_input.get("inputs", {})
        properties["inputs"].struct_value.update(inputs.get("parameterValues", {}))
        made.last_known_state = made.FAILED if record.state is State.FAILED else made.COMPLETE
        ran = made
        if cached:
            made.last_known_state = made.CACHED
            ran = self._execution("system.ContainerExecution", 11, name, None, None)
            ran.last_known_state = ran.COMPLETE
            self.elsewhere.add(ran.id)
            properties["cached_execution_id"].string_value = str(ran.id)
            properties["pod_name"].string_value = ""
        if record.executor_output:
            values = record.executor_output.get("parameterValues", {})
            ran.custom_properties["outputs"].struct_value.update(values)
        self._events(made, inputs.get("artifacts", {}), mlmd.Event.INPUT)
        if record.state is State.SUCCEEDED:
            outputs = record.executor_input["outputs"].get("artifacts", {})
            self._events(ran, outputs, mlmd.Event.OUTPUT)
        logs = {"executor-logs": {"artifacts": [{"uri": f"{root}/{name}/salt/executor-logs-0"}]}}
        self._events(ran, logs, mlmd.Event.OUTPUT)

    def _events(self, execution: mlmd.Execution, lists: dict[str, Any], kind: int) -> None:
        for name, entry in lists.items():
            for item in entry["artifacts"]:
                made = mlmd.Artifact(id=len(self.artifacts) + 100, uri=item["uri"])
                made.type = "system.Dataset"
                for key, value in item.get("metadata", {}).items():
                    if isinstance(value, str):
                        made.custom_properties[key].string_value = value
                    else:
                        made.custom_properties[key].double_value = value
                made.custom_properties["display_name"].string_value = name
                self.artifacts[made.id] = made
                event = mlmd.Event(artifact_id=made.id, execution_id=execution.id, type=kind)
                event.path.steps.add(key=name)
                self.events.append(event)

    def _execution(
        self, kind: str, type_id: int, name: str | None, parent: int | None, index: int | None
    ) -> mlmd.Execution:
        made = mlmd.Execution(id=len(self.executions) + 1, type_id=type_id)
        made.last_known_state = made.COMPLETE
        made.create_time_since_epoch = LIVE * 1000
        made.last_update_time_since_epoch = DEAD * 1000
        if name:
            made.custom_properties["task_name"].string_value = name
            made.custom_properties["display_name"].string_value = name
        if parent:
            made.custom_properties["parent_dag_id"].int_value = parent
        if index is not None:
            made.custom_properties["iteration_index"].int_value = index
        self.executions[made.id] = made
        return made
