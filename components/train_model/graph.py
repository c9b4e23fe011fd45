"""The whole model as one ONNX graph: encoding and imputation, then the trees."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from dalsegno.encoding import OTHER, Encoder

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
OUTPUT = "probability"


def build_graph(encoder: Encoder, booster: Any) -> bytes:
    """Write a model in ONNX, the same bytes for the same model.

    Args:
        encoder: As fitted on the training split.
        booster: `xgboost.Booster` of one tree a round, for the log odds of class 1.

    Returns:
        A model with one input of shape [rows, 1] an input column, and the output `probability` of
        shape [rows].
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    types = {"BYTES": TensorProto.STRING, "FP32": TensorProto.FLOAT}
    nodes = _encoding_nodes(encoder)
    nodes.append(
        helper.make_node("Concat", _encoded_names(encoder), ["encoded/matrix"], "Concat", axis=1)
    )
    nodes.append(_trees_node(booster))
    nodes.append(helper.make_node("Sigmoid", ["trees/log_odds"], ["trees/probability"], "Sigmoid"))
    nodes.append(
        helper.make_node("Reshape", ["trees/probability", "shape/rows"], [OUTPUT], "Reshape")
    )
    graph = helper.make_graph(
        nodes,
        "model",
        [
            helper.make_tensor_value_info(name, types[datatype], [None, 1])
            for name, datatype in encoder.inputs.items()
        ],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None])],
        [numpy_helper.from_array(_rows_shape(), "shape/rows")],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(
        graph, producer_name="dalsegno", ir_version=IR_VERSION, opset_imports=opsets
    )
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _rows_shape() -> Any:
    import numpy as np

    return np.array([-1], dtype=np.int64)


def _encoded_names(encoder: Encoder) -> list[str]:
    changed = encoder.categories.keys() | encoder.imputation.keys()
    return [f"encoded/{name}" if name in changed else name for name in encoder.features]


def _encoding_nodes(encoder: Encoder) -> list[Any]:
    nodes = []
    for name, values in encoder.categories.items():
        codes = {value: float(code) for code, value in enumerate(values, 1)}
        nodes.append(_label_node(name, codes, OTHER, f"encoded/{name}"))
    for name, rule in encoder.imputation.items():
        nodes.append(_label_node(rule.by, rule.values, rule.otherwise, f"imputed/{name}"))
        nodes += _fill_nodes(name)
    return nodes


def _label_node(name: str, values: dict[str, float], default: float, output: str) -> Any:
    """Look a text up; an empty table would be no valid node, and "" is never in one."""
    from onnx import helper

    table = values or {"": default}
    return helper.make_node(
        "LabelEncoder",
        [name],
        [output],
        output,
        domain="ai.onnx.ml",
        keys_strings=list(table),
        values_floats=list(table.values()),
        default_float=default,
    )


def _fill_nodes(name: str) -> list[Any]:
    from onnx import helper

    missing, filled = f"missing/{name}", f"encoded/{name}"
    return [
        helper.make_node("IsNaN", [name], [missing], missing),
        helper.make_node("Where", [missing, f"imputed/{name}", name], [filled], filled),
    ]


@dataclass
class _Trees:
    """Trees as ONNX wants them: one list an attribute, one entry a node or a leaf."""

    nodes_treeids: list[int] = field(default_factory=list)
    nodes_nodeids: list[int] = field(default_factory=list)
    nodes_modes: list[str] = field(default_factory=list)
    nodes_featureids: list[int] = field(default_factory=list)
    nodes_values: list[float] = field(default_factory=list)
    nodes_truenodeids: list[int] = field(default_factory=list)
    nodes_falsenodeids: list[int] = field(default_factory=list)
    nodes_missing_value_tracks_true: list[int] = field(default_factory=list)
    target_treeids: list[int] = field(default_factory=list)
    target_nodeids: list[int] = field(default_factory=list)
    target_ids: list[int] = field(default_factory=list)
    target_weights: list[float] = field(default_factory=list)

    def add(self, number: int, tree: dict[str, Any]) -> None:
        """Add a tree: left is true is `value < condition`, missing goes where it was learned."""
        ahead = [0]
        while ahead:
            node = ahead.pop()
            left, right = tree["left_children"][node], tree["right_children"][node]
            is_leaf = left == -1
            self.nodes_treeids.append(number)
            self.nodes_nodeids.append(node)
            self.nodes_modes.append("LEAF" if is_leaf else "BRANCH_LT")
            self.nodes_featureids.append(0 if is_leaf else tree["split_indices"][node])
            self.nodes_values.append(0.0 if is_leaf else tree["split_conditions"][node])
            self.nodes_truenodeids.append(0 if is_leaf else left)
            self.nodes_falsenodeids.append(0 if is_leaf else right)
            self.nodes_missing_value_tracks_true.append(
                0 if is_leaf else tree["default_left"][node]
            )
            if is_leaf:
                self._add_leaf(number, node, tree["split_conditions"][node])
            else:
                ahead += [right, left]

    def _add_leaf(self, number: int, node: int, weight: float) -> None:
        self.target_treeids.append(number)
        self.target_nodeids.append(node)
        self.target_ids.append(0)
        self.target_weights.append(weight)


def _trees_node(booster: Any) -> Any:
    """Write the sum of the trees and of the log odds they start from (`base_score`)."""
    from onnx import helper

    learner = json.loads(booster.save_raw("json"))["learner"]
    trees = _Trees()
    for number, tree in enumerate(learner["gradient_booster"]["model"]["trees"]):
        trees.add(number, tree)
    start = float(learner["learner_model_param"]["base_score"].strip("[]"))
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["encoded/matrix"],
        ["trees/log_odds"],
        "Trees",
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        base_values=[math.log(start / (1 - start))],
        post_transform="NONE",
        **vars(trees),
    )
