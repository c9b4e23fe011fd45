"""The pipeline that plays one recorded task on a cluster: importers, constants, and the task.

Input artifacts come from importers; a list of them from a loop, in which a task of the same image
copies what an importer brought, because KFP's driver collects outputs of containers alone
(`CollectInputs` in backend/src/v2/driver/resolve.go). Parameters are constants; nothing is cached.
"""

from __future__ import annotations

import json
import re
from typing import Any

from dalsegno.cluster.go_yaml import dump
from dalsegno.engine.placeholders import WORKSPACE
from dalsegno.errors import InputError
from dalsegno.runs.record import TaskRecord

TASK = "replayed"
Document = dict[str, Any]

_KIND = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
_COPY = """
import kfp
from kfp import dsl
from kfp.dsl import *


def copy(given: Input[Artifact], artifact: Output[Artifact]):
    import os
    import shutil

    if os.path.isdir(given.path):
        shutil.copytree(given.path, artifact.path, dirs_exist_ok=True)
    elif os.path.exists(given.path):
        shutil.copyfile(given.path, artifact.path)
    kept_by_kfp = ("display_name", "store_session_info")
    artifact.metadata.update({k: v for k, v in given.metadata.items() if k not in kept_by_kfp})
"""


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
    if not record.image:
        raise InputError(f"task {record.task!r}: got no image in its record, want one to run it in")
    pipeline = _Builder(name)
    inputs: Document = {"parameters": _constants(record), "artifacts": {}}
    for key, given in artifacts.items():
        items = [{**item, "type": record.input_type(key, item) or _KIND} for item in given]
        if _is_list(record.component_spec, key):
            inputs["artifacts"][key] = {"taskOutputArtifact": pipeline.add_loop(key, items, record)}
        else:
            inputs["artifacts"][key] = {"taskOutputArtifact": pipeline.add_importer(key, items[0])}
    pipeline.add_task(record, inputs)
    return dump([pipeline.document])


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

    def add_loop(self, key: str, artifacts: list[Document], record: TaskRecord) -> Document:
        """Bring a list of artifacts by a loop; returns where a task finds the list."""
        _check_list(key, artifacts)
        load, copy, loop = f"import-{_plain(key)}", f"copy-{_plain(key)}", f"each-{_plain(key)}"
        kind, output = artifacts[0]["type"], f"{key}-artifact"
        self._define_importer(load, artifacts[0], {"runtimeParameter": "uri"})
        self._define_copy(copy, kind, _copying(key, record))
        selector = {"outputArtifactKey": "artifact", "producerSubtask": copy}
        taken = {"outputArtifactKey": "artifact", "producerTask": load}
        copying = _task(copy, {"artifacts": {"given": {"taskOutputArtifact": taken}}})
        self.components[f"comp-{loop}"] = {
            "dag": {
                "outputs": {"artifacts": {output: {"artifactSelectors": [selector]}}},
                "tasks": {
                    load: _task(load, {"parameters": {"uri": {"componentInputParameter": "item"}}}),
                    copy: {**copying, "dependentTasks": [load]},
                },
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
        self.executors[label] = {"container": _container(record)}
        given = {key: value for key, value in inputs.items() if value}
        names = [*inputs["artifacts"].values()]
        producers = sorted({item["taskOutputArtifact"]["producerTask"] for item in names})
        self.tasks[TASK] = _task(TASK, given)
        if producers:
            self.tasks[TASK]["dependentTasks"] = producers

    def _define_importer(self, task: str, artifact: Document, uri: Document) -> None:
        kind = artifact["type"]
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

    def _define_copy(self, task: str, kind: Document, container: Document) -> None:
        self.executors[f"exec-{task}"] = {"container": container}
        self.components[f"comp-{task}"] = {
            "executorLabel": f"exec-{task}",
            "inputDefinitions": {"artifacts": {"given": {"artifactType": kind}}},
            "outputDefinitions": {"artifacts": {"artifact": {"artifactType": kind}}},
        }


def _container(record: TaskRecord) -> Document:
    container: Document = {"image": record.image, "command": record.command, "args": record.args}
    if record.environment:
        container["env"] = [
            {"name": name, "value": value} for name, value in record.environment.items()
        ]
    return container


def _copying(key: str, record: TaskRecord) -> Document:
    """Run the copying in the task's image as the task itself runs: its command but the source."""
    before = record.command[-2:-1]
    if "--function_to_execute" not in record.args or "ephemeral_component" not in "".join(before):
        raise InputError(
            f"input {key!r}: got a list for a task that is no lightweight Python component, want "
            "one: KFP makes no list out of importers",
            "dalsegno replay RUN/TASK --in container",
        )
    args = list(record.args)
    args[args.index("--function_to_execute") + 1] = "copy"
    return {**_container(record), "command": [*record.command[:-1], _COPY], "args": args}


def _check_list(key: str, artifacts: list[Document]) -> None:
    kinds = {str((item["type"], _own(item.get("metadata", {})))) for item in artifacts}
    if not artifacts:
        raise InputError(f"input {key!r}: got an empty list, want artifacts: KFP loops over some")
    if len(kinds) != 1:
        raise InputError(
            f"input {key!r}: got {len(artifacts)} artifacts of different types or metadata, "
            "want equal ones: a loop of importers gives all of them the same"
        )


def _task(name: str, inputs: Document) -> Document:
    task: Document = {
        "cachingOptions": {},
        "componentRef": {"name": f"comp-{name}"},
        "taskInfo": {"name": name},
    }
    return {**task, "inputs": inputs} if inputs else task


def _constants(record: TaskRecord) -> Document:
    values = record.executor_input.get("inputs", {}).get("parameterValues", {})
    defined = record.component_spec.get("inputDefinitions", {}).get("parameters", {})
    for name, value in values.items():
        if WORKSPACE in str(value):
            raise InputError(
                f"parameter {name!r}: got a path in the run's workspace, which ended with the run",
                "dalsegno replay RUN/TASK",
            )
        if value is None:
            _check_absent(name, defined.get(name, {}))
    return {
        name: {"runtimeValue": {"constant": value}}
        for name, value in values.items()
        if value is not None
    }


def _check_absent(name: str, definition: Document) -> None:
    """Refuse a null that KFP would fill: its driver takes no null constant, the launcher fills."""
    if definition.get("defaultValue") is not None or not definition.get("isOptional"):
        raise InputError(
            f"parameter {name!r}: got null, want a value: KFP passes none to a parameter that has "
            "a default or must be given",
            "dalsegno replay RUN/TASK --in container",
        )


def _is_list(component: Document, key: str) -> bool:
    definitions = component.get("inputDefinitions", {}).get("artifacts", {})
    return bool(definitions.get(key, {}).get("isArtifactList"))


def _own(metadata: Document) -> Document:
    """Leave out what the store keeps in an artifact's metadata for itself."""
    kept_by_kfp = {"display_name", "store_session_info"}
    return {
        key: value
        for key, value in metadata.items()
        if key not in kept_by_kfp and value is not None  # ML Metadata has no null
    }


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
