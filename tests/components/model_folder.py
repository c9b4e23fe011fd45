"""A logistic model of number features, as the folder that a training run leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper


def write_model(
    path: Path, weights: dict[str, float], *, offset: float = 0.0, **files: Any
) -> Path:
    """Write a model folder; `files` are further JSON documents by stem, such as `baseline`."""
    path.mkdir()
    (path / "model.onnx").write_bytes(_graph(weights, offset).SerializeToString())
    datatype = {"datatype": "FP32"}
    documents = {
        "signature": {
            "inputs": [{"name": name, **datatype} for name in weights],
            "outputs": [{"name": "probability", **datatype}],
            "entity": "id",
            "target": "y",
        },
        "training": {"features": list(weights), "threshold": 0.5},
        "baseline": {"rows": 0, "columns": {}},
        "example": {"rows": [], "probability": []},
        **files,
    }
    for stem, document in documents.items():
        (path / f"{stem}.json").write_text(json.dumps(document))
    return path


def _graph(weights: dict[str, float], offset: float) -> onnx.ModelProto:
    names = list(weights)
    nodes = [helper.make_node("Concat", names, ["joined"], axis=1)]
    nodes += [
        helper.make_node("MatMul", ["joined", "weights"], ["weighted"]),
        helper.make_node("Add", ["weighted", "offset"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["column"]),
        helper.make_node("Squeeze", ["column", "axes"], ["probability"]),
    ]
    constants = [
        helper.make_tensor("weights", TensorProto.FLOAT, [len(names), 1], list(weights.values())),
        helper.make_tensor("offset", TensorProto.FLOAT, [1], [offset]),
        helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in names]
    outputs = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None])]
    graph = helper.make_graph(nodes, "logistic", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
