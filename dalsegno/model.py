"""A trained model, ready to score: ONNX Runtime only, no training library.

pandas is imported where frames come in: a server lives without it, 80 MB smaller.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dalsegno.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from dalsegno.encoding import Array, Datatype

GRAPH, SIGNATURE, TRAINING, EXAMPLE = (
    "model.onnx",
    "signature.json",
    "training.json",
    "example.json",
)
BASELINE = "baseline.json"
OUTPUT = "probability"
TOLERANCE = 1e-5


class ScoringModel:
    """Gives the probability of class 1, by the graph that was written at training.

    Attributes:
        signature: Inputs, outputs, entity and target (`signature.json`).
        training: How the model came about (`training.json`).
        baseline: Sketches to watch drift against (`baseline.json`).
        features: Input columns, in order.
        threshold: Decision threshold (0-1): class 1 from there on.
    """

    def __init__(
        self, session: Any, documents: dict[str, dict[str, Any]], source: str = "model"
    ) -> None:
        self._session = session
        self._source = source
        self._example = documents[EXAMPLE]
        self.signature = documents[SIGNATURE]
        self.training = documents[TRAINING]
        self.baseline = documents[BASELINE]
        self.inputs: dict[str, Datatype] = {
            item["name"]: item["datatype"] for item in self.signature["inputs"]
        }
        self.features = list(self.inputs)
        self.threshold = float(self.training["threshold"])

    @classmethod
    def load(cls, path: Path, *, threads: int = 1) -> ScoringModel:
        """Load a model folder.

        Args:
            path: Folder with `model.onnx` and its JSON documents.
            threads: For one call; a server gains more from calls side by side.

        Raises:
            InputError: A file is missing or broken.
        """
        names = [GRAPH, SIGNATURE, TRAINING, EXAMPLE, BASELINE]
        missing = [name for name in names if not (path / name).is_file()]
        if missing:
            raise InputError(f"model folder '{path.name}': got no {missing}, want {names}")
        documents = {name: _read_json(path / name) for name in names[1:]}
        try:
            return cls(open_session(path / GRAPH, threads=threads), documents, path.name)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"model folder '{path.name}': got broken documents, want those of train_model"
            ) from error

    def predict(self, frame: pd.DataFrame) -> Array:
        """Score rows; other columns than the inputs are passed over.

        Args:
            frame: One row an entity. Missing numbers and missing or unseen texts are legal.

        Returns:
            Probabilities (0-1) as float32 of shape (rows,).

        Raises:
            InputError: An input column is missing, or a number column holds something else.
        """
        from dalsegno.encoding import check_columns, read_inputs

        check_columns(f"model '{self._source}'", frame, self.features)
        return self.run(read_inputs(frame, self.inputs))

    def run(self, tensors: dict[str, Array]) -> Array:
        """Score tensors of shape (rows, 1) by input name: text as objects, numbers as float32.

        Returns:
            Probabilities (0-1) as float32 of shape (rows,).
        """
        if not len(next(iter(tensors.values()))):
            return np.empty(0, dtype=np.float32)
        probabilities: Array = self._session.run([OUTPUT], tensors)[0]
        return probabilities

    def self_test(self) -> None:
        """Score the rows that came with the model.

        Raises:
            InputError: They no longer score as they did at training.
        """
        rows = self._example["rows"]
        got = self.run({name: _column(rows, name, kind) for name, kind in self.inputs.items()})
        wanted = np.asarray(self._example["probability"])
        if got.shape != wanted.shape or not np.allclose(got, wanted, rtol=0, atol=TOLERANCE):
            raise InputError(
                f"model '{self._source}': got other probabilities for its own example rows, "
                f"want those of {EXAMPLE} within {TOLERANCE:g}"
            )


def _column(rows: list[dict[str, Any]], name: str, datatype: Datatype) -> Array:
    """Read a column of the example rows: text, numbers and null, as training wrote them."""
    values = [[row.get(name)] for row in rows]
    if datatype == "BYTES":
        return np.array([[value or ""] for (value,) in values], dtype=object)
    return np.array(values, dtype=np.float32)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"model file '{path.name}': got broken JSON, want an object") from error
    if not isinstance(document, dict):
        raise InputError(f"model file '{path.name}': got {type(document).__name__}, want an object")
    return document


def open_session(graph: Path | bytes, *, threads: int = 1) -> Any:
    """Open an ONNX graph, as a file or as bytes, with ONNX Runtime.

    Raises:
        InputError: It is none that ONNX Runtime can read.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    source = graph if isinstance(graph, bytes) else str(graph)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes have no common public base
        raise InputError("model graph: got what ONNX Runtime cannot read, want ONNX") from error
