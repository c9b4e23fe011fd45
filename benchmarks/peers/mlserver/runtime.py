"""A runtime of MLServer for the encoder and the XGBoost trees."""

from pathlib import Path

import xgboost
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.encoder import read_encoder


class Rows(MLModel):
    """Encodes rows, and scores them."""

    async def load(self) -> bool:
        """Load both."""
        trees = self.settings.parameters.uri
        self.booster = xgboost.Booster(model_file=trees)
        self.encoder = read_encoder(Path(trees).parent)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Score rows, column by column."""
        encoded = self.encoder.transform(PandasCodec.decode_request(payload))
        found = self.booster.predict(xgboost.DMatrix(encoded, nthread=1))
        output = NumpyCodec.encode_output("predict", found)
        return InferenceResponse(model_name=self.name, outputs=[output])
