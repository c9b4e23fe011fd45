"""Serve a model folder by KServe's ModelServer.

Run: `python -P serve.py MODEL_FOLDER PORT WORKERS KIND`, in this folder's environment; `onnx` is
the same graph as ours, `native` the XGBoost trees, scored as KServe's own XGBoost runtime does, and
`row` the same trees after the encoder that training wrote for them.
"""

import json
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response


class Graph(Model):
    """The ONNX graph."""

    def __init__(self, folder: Path) -> None:
        """Load it."""
        import onnxruntime

        super().__init__("titanic")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        graph = str(folder / "model.onnx")
        self.session = onnxruntime.InferenceSession(graph, options, providers)
        self.threshold = json.loads((folder / "training.json").read_text())["threshold"]
        self.ready = True

    async def predict(self, payload: Any, headers: Any = None, **_: Any) -> Any:
        """Score rows, column by column."""
        assert isinstance(payload, InferRequest)
        kinds = {"BYTES": object, "FP32": np.float32}
        tensors = {
            item.name: np.array(item.data, kinds[item.datatype]).reshape(-1, 1)
            for item in payload.inputs
        }
        found = self.session.run(["probability"], tensors)[0]
        outputs = []
        for name, kind, values in (
            ("probability", "FP32", found),
            ("decision", "INT32", (found >= self.threshold).astype(np.int32)),
        ):
            output = InferOutput(name, [len(values)], kind)
            output.set_data_from_numpy(values, binary_data=False)
            outputs.append(output)
        return InferResponse(payload.id or str(uuid.uuid4()), self.name, outputs)


class Trees(Model):
    """The XGBoost trees."""

    def __init__(self, folder: Path) -> None:
        """Load them."""
        import xgboost

        super().__init__("titanic")
        self.matrix = xgboost.DMatrix
        self.booster = xgboost.Booster(model_file=str(folder / "model.ubj"))
        self.ready = True

    async def predict(self, payload: Any, headers: Any = None, **_: Any) -> Any:
        """Score rows of encoded features."""
        matrix = self.matrix(get_predict_input(payload), nthread=1)
        return get_predict_response(payload, self.booster.predict(matrix), self.name)


class Rows(Trees):
    """The encoder and the XGBoost trees."""

    def __init__(self, folder: Path) -> None:
        """Load both."""
        from benchmarks.peers.encoder import read_encoder

        super().__init__(folder)
        self.encoder = read_encoder(folder)

    async def predict(self, payload: Any, headers: Any = None, **_: Any) -> Any:
        """Encode and score rows, column by column."""
        matrix = self.matrix(self.encoder.transform(payload.as_dataframe()), nthread=1)
        return get_predict_response(payload, self.booster.predict(matrix), self.name)


def main(model: str, port: str, workers: str, kind: str) -> None:
    """Serve until killed."""
    sys.argv = sys.argv[:1]  # KServe reads them
    server = ModelServer(
        http_port=int(port), workers=int(workers), enable_grpc=False, enable_latency_logging=False
    )
    server.start([{"onnx": Graph, "native": Trees, "row": Rows}[kind](Path(model))])


if __name__ == "__main__":
    main(*sys.argv[1:])
