"""What every way of the Open Inference Protocol v2 asks and answers, whatever carries it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from dalsegno.errors import InputError
from dalsegno.serving.endpoint import Served
from dalsegno.serving.plain import PlainTensors
from dalsegno.serving.tensors import Array, Tensor, quote, read_columns

OUTPUTS: Mapping[str, str] = {"probability": "FP32", "decision": "INT32"}
"""Datatype by name of what every endpoint answers, each of shape [rows]."""


class WantedOutput(NamedTuple):
    """An output that was asked for, and whether its values shall come as raw bytes."""

    name: str
    is_binary: bool = False


_ALL_OUTPUTS = {
    binary: tuple(WantedOutput(name, binary) for name in OUTPUTS) for binary in (False, True)
}


@dataclass(slots=True)
class InferenceRequest:
    """A batch of rows, column by column.

    Attributes:
        id: That the caller gave, "" if none.
        inputs: Its columns.
        outputs: What was asked for; empty means all.
        is_binary: Whether outputs that do not say so shall come as raw bytes.
        parameters: As they came.
    """

    id: str
    inputs: Sequence[Tensor]
    outputs: list[WantedOutput]
    is_binary: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows the first input says that it has."""
        inputs = self.inputs
        if isinstance(inputs, PlainTensors):
            return inputs.rows
        return inputs[0].shape[0] if inputs and inputs[0].shape else 0

    def columns(self, wanted: Mapping[str, str]) -> dict[str, Array]:
        """Read the inputs as a model takes them; see `read_columns`."""
        inputs = self.inputs
        columns = inputs.columns(wanted) if isinstance(inputs, PlainTensors) else None
        return read_columns(inputs, wanted) if columns is None else columns


@dataclass(slots=True)
class Answer:
    """What one release said to a batch.

    Attributes:
        request: What was asked.
        served: What answers.
        inputs: By name an array of shape (rows, 1), as the model took them.
        probabilities: Of class 1 (0-1), float32 of shape (rows,).
        prediction_id: Of this answer alone.
    """

    request: InferenceRequest
    served: Served
    inputs: dict[str, Array]
    probabilities: Array
    prediction_id: str

    @property
    def id(self) -> str:
        """The caller's own id, or else that of the prediction."""
        return self.request.id or self.prediction_id

    def outputs(self) -> list[tuple[WantedOutput, Array]]:
        """Return the outputs that were asked for, with their values."""
        decisions = self.probabilities >= self.served.release.threshold
        values = {"probability": self.probabilities, "decision": decisions.astype(np.int32)}
        return [(output, values[output.name]) for output in wanted_outputs(self.request)]


def wanted_outputs(request: InferenceRequest) -> Sequence[WantedOutput]:
    """Return the outputs that were asked for.

    Raises:
        InputError: There is no such output.
    """
    if not request.outputs:
        return _ALL_OUTPUTS[request.is_binary]
    unknown = [output.name for output in request.outputs if output.name not in OUTPUTS]
    if unknown:
        raise InputError(f"outputs: got {quote(unknown)}, want any of {quote(OUTPUTS)}")
    return request.outputs
