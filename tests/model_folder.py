"""A tiny model folder as `train_model` writes it, made by hand in milliseconds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

FEATURES = {"sex": "BYTES", "age": "FP32"}


def make_model(path: Path, *, bias: float = 0.0, threshold: float = 0.5, **training: Any) -> Path:
    """Write a model of which the probability is sigmoid(bias + (sex == "female") + age / 100).

    A missing age counts as 0. The bias tells models apart.
    """
    path.mkdir(parents=True)
    onnx.save(_graph(bias), path / "model.onnx")
    rows = [{"sex": "female", "age": 30.0}, {"sex": "male", "age": 40.0}]
    documents: dict[str, Any] = {
        "encoder.json": {"categories": {"sex": ["female", "male"]}},
        "signature.json": {
            "inputs": [{"name": name, "datatype": kind} for name, kind in FEATURES.items()],
            "outputs": [{"name": "probability", "datatype": "FP32"}],
            "entity": "passenger",
            "target": "survived",
        },
        "training.json": {
            "hyper_parameters": {"max_depth": 3, "eta": 0.1},
            "features": list(FEATURES),
            "dataset": "titanic@1",
            "dataset_digest": "d" * 64,
            "features_digest": "f" * 64,
            "commit": "c" * 40,
            "seed": 0,
            "rows": 100,
            "threshold": threshold,
            **training,
        },
        "baseline.json": {"features": {}},
        "example.json": {
            "rows": rows,
            "probability": [probability(row["sex"], row["age"], bias) for row in rows],
        },
    }
    for name, document in documents.items():
        (path / name).write_text(json.dumps(document))
    (path / "model.ubj").write_bytes(b"{}")
    return path


def probability(sex: Any, age: Any, bias: float = 0.0) -> float:
    """What the model must answer."""
    return 1 / (1 + math.exp(-(bias + (sex == "female") + age / 100)))


def _graph(bias: float) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Equal", ["sex", "female"], ["is_female"]),
        helper.make_node("Cast", ["is_female"], ["by_sex"], to=TensorProto.FLOAT),
        helper.make_node("IsNaN", ["age"], ["no_age"]),
        helper.make_node("Where", ["no_age", "zero", "age"], ["full_age"]),
        helper.make_node("Mul", ["full_age", "per_year"], ["by_age"]),
        helper.make_node("Add", ["by_sex", "by_age"], ["both"]),
        helper.make_node("Add", ["both", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["column"]),
        helper.make_node("Reshape", ["column", "flat"], ["probability"]),
    ]
    constants = [
        helper.make_tensor("female", TensorProto.STRING, [1], [b"female"]),
        helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("per_year", TensorProto.FLOAT, [1], [0.01]),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias]),
        helper.make_tensor("flat", TensorProto.INT64, [1], [-1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("sex", TensorProto.STRING, [None, 1]),
            helper.make_tensor_value_info("age", TensorProto.FLOAT, [None, 1]),
        ],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None])],
        constants,
    )
    opset = [helper.make_opsetid("", 19)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)
