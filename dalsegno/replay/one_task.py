"""The pipeline that plays one recorded task on a cluster: importers, constants, and the task.

Input artifacts come from importers, a list of them from a loop of importers whose outputs are
collected; parameters are constants; nothing is cached. The form is that of KFP's compiler 2.17.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from dalsegno.engine.placeholders import WORKSPACE
from dalsegno.errors import InputError
from dalsegno.runs.record import TaskRecord

TASK = "replayed"
Document = dict[str, Any]


def one_task_pipeline(record: TaskRecord, name: str, artifacts: dict[str, list[Document]]) -> str:
    """Compile a pipeline of one task.

    Args:
        name: Of the pipeline: lower-case letters, digits and dashes.
        artifacts: Input artifacts by input name, as in the executor input, with the URIs that
            they have in the cluster's store.

    Returns:
        YAML, as KFP's compiler would write it.

    Raises:
        InputError: The task cannot be played this way; says which input is in the way.
    """
    pipeline = _Builder(name)
    inputs: Document = {"parameters": _constants(record), "artifacts": {}}
    for key, items in artifacts.items():
        if _is_list(record.component_spec, key):
            inputs["artifacts"][key] = {"taskOutputArtifact": pipeline.add_loop(key, items)}
        else:
            inputs["artifacts"][key] = {"taskOutputArtifact": pipeline.add_importer(key, items[0])}
    pipeline.add_task(record, inputs)
    return yaml.safe_dump(pipeline.document, sort_keys=True, allow_unicode=True)


class _Builder:
    """A PipelineSpec that grows by tasks."""

    def __init__(self, name: str) -> None:
        self.components: Document = {}
        self.executors: Document = {}
        self.tasks: Document = {}
        self.document = {
            "pipelineInfo": {"name": name},
            "schemaVersion": "2.1.0",
            "sdkVersion": "kfp-2.17.0",
            "components": self.components,
            "deploymentSpec": {"executors": self.executors},
            "root": {"dag": {"tasks": self.tasks}},
        }

    def add_importer(self, key: str, artifact: Document) -> Document:
        """Import one artifact; returns where a task finds it."""
        task = f"import-{_plain(key)}"
        self._define_importer(task, artifact, {"constant": artifact["uri"]})
        uri = {"runtimeValue": {"constant": artifact["uri"]}}
        self.tasks[task] = _task(task, {"parameters": {"uri": uri}})
        return {"outputArtifactKey": "artifact", "producerTask": task}

    def add_loop(self, key: str, artifacts: list[Document]) -> Document:
        """Import a list of artifacts by a loop; returns where a task finds the list."""
        kinds = {str((item.get("type"), item.get("metadata"))) for item in artifacts}
        if len(kinds) != 1:
            raise InputError(
                f"input {key!r}: got {len(artifacts)} artifacts of different types or metadata, "
                "want equal ones: a loop of importers gives all of them the same"
            )
        task, loop, output = f"import-{_plain(key)}", f"each-{_plain(key)}", f"{key}-artifact"
        self._define_importer(task, artifacts[0], {"runtimeParameter": "uri"})
        kind = artifacts[0].get("type", {})
        selector = {"outputArtifactKey": "artifact", "producerSubtask": task}
        inner = _task(task, {"parameters": {"uri": {"componentInputParameter": "item"}}})
        self.components[f"comp-{loop}"] = {
            "dag": {
                "outputs": {"artifacts": {output: {"artifactSelectors": [selector]}}},
                "tasks": {task: inner},
            },
            "inputDefinitions": {"parameters": {"item": {"parameterType": "STRING"}}},
            "outputDefinitions": {
                "artifacts": {output: {"artifactType": kind, "isArtifactList": True}}
            },
        }
        self.tasks[loop] = {
            **_task(loop, {}),
            "parameterIterator": {
                "itemInput": "item",
                "items": {"raw": json.dumps([item["uri"] for item in artifacts])},
            },
        }
        return {"outputArtifactKey": output, "producerTask": loop}

    def add_task(self, record: TaskRecord, inputs: Document) -> None:
        """Add the task itself, its outputs being those of the pipeline."""
        label = f"exec-{TASK}"
        component = {**record.component_spec, "executorLabel": label}
        self.components[f"comp-{TASK}"] = component
        container: Document = {
            "image": record.image,
            "command": record.command,
            "args": record.args,
        }
        if record.environment:
            container["env"] = [
                {"name": name, "value": value} for name, value in record.environment.items()
            ]
        self.executors[label] = {"container": container}
        given = {key: value for key, value in inputs.items() if value}
        names = [*inputs["artifacts"].values()]
        producers = sorted({item["taskOutputArtifact"]["producerTask"] for item in names})
        self.tasks[TASK] = _task(TASK, given)
        if producers:
            self.tasks[TASK]["dependentTasks"] = producers

    def _define_importer(self, task: str, artifact: Document, uri: Document) -> None:
        kind = artifact.get("type") or {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
        importer: Document = {"artifactUri": uri, "typeSchema": kind}
        metadata = _own(artifact.get("metadata", {}))
        if metadata:
            importer["metadata"] = metadata
        self.executors[f"exec-{task}"] = {"importer": importer}
        self.components[f"comp-{task}"] = {
            "executorLabel": f"exec-{task}",
            "inputDefinitions": {"parameters": {"uri": {"parameterType": "STRING"}}},
            "outputDefinitions": {"artifacts": {"artifact": {"artifactType": kind}}},
        }


def _task(name: str, inputs: Document) -> Document:
    task: Document = {
        "cachingOptions": {},
        "componentRef": {"name": f"comp-{name}"},
        "taskInfo": {"name": name},
    }
    return {**task, "inputs": inputs} if inputs else task


def _constants(record: TaskRecord) -> Document:
    values = record.executor_input.get("inputs", {}).get("parameterValues", {})
    for name, value in values.items():
        if WORKSPACE in str(value):
            raise InputError(
                f"parameter {name!r}: got a path in the run's workspace, which ended with the run",
                "dalsegno replay RUN/TASK",
            )
    return {name: {"runtimeValue": {"constant": value}} for name, value in values.items()}


def _is_list(component: Document, key: str) -> bool:
    definitions = component.get("inputDefinitions", {}).get("artifacts", {})
    return bool(definitions.get(key, {}).get("isArtifactList"))


def _own(metadata: Document) -> Document:
    """Leave out what the store keeps in an artifact's metadata for itself."""
    kept_by_kfp = {"display_name", "store_session_info"}
    return {key: value for key, value in metadata.items() if key not in kept_by_kfp}


def _plain(key: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in key.lower()).strip("-")
