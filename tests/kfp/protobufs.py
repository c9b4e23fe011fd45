"""Reads compiled text as KFP's API server does (backend/src/apiserver/template/v2_template.go)."""

from __future__ import annotations

import re

import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_forms
from kfp.pipeline_spec import pipeline_spec_pb2 as forms

# backend/src/apiserver/common/utils.go
PIPELINE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


def read_as_the_server_does(text: str) -> forms.PipelineSpec:
    """Parse both documents strictly, and hold them against what the Argo compiler wants."""
    documents = [item for item in yaml.safe_load_all(text) if item]
    specs = [item for item in documents if "platforms" not in item]
    assert len(specs) == 1
    spec = json_format.ParseDict(specs[0], forms.PipelineSpec())
    assert spec.schema_version == "2.1.0"
    assert PIPELINE_NAME.fullmatch(spec.pipeline_info.name)
    executors = json_format.ParseDict(
        json_format.MessageToDict(spec.deployment_spec), forms.PipelineDeploymentConfig()
    ).executors
    for component in [spec.root, *spec.components.values()]:
        if component.WhichOneof("implementation") == "executor_label":
            assert component.executor_label in executors
        for name, task in component.dag.tasks.items():
            _check_task(name, task, component.dag, spec)
    for document in documents:
        if "platforms" in document:
            _check_platform(document)
    return spec


def _check_task(name, task, dag, spec) -> None:
    """As `DAG` and `task` of backend/src/v2/compiler/argocompiler/dag.go."""
    component = spec.components[task.component_ref.name]
    assert component.WhichOneof("implementation")
    assert task.task_info.name
    assert set(task.dependent_tasks) <= set(dag.tasks)
    for artifact in task.inputs.artifacts.values():
        if artifact.WhichOneof("kind") == "task_output_artifact":
            assert artifact.task_output_artifact.producer_task in dag.tasks
    for key, parameter in task.inputs.parameters.items():
        kind = parameter.runtime_value.constant.WhichOneof("kind")
        is_constant = parameter.WhichOneof("kind") == "runtime_value"
        assert not is_constant or kind != "null_value", f"{name}: {key} is null"


def _check_platform(document) -> None:
    """As backend/src/v2/compiler/argocompiler/spec_patch.go."""
    platform = json_format.ParseDict(document, forms.PlatformSpec()).platforms["kubernetes"]
    for config in platform.deployment_spec.executors.values():
        given = json_format.MessageToDict(config)
        json_format.ParseDict(given, kubernetes_forms.KubernetesExecutorConfig())
