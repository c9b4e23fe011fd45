"""A model folder's XGBoost trees as a BentoML service; `serve.py` starts it."""

import os

import bentoml
import numpy as np
import xgboost


@bentoml.service(workers=int(os.environ["PEER_WORKERS"]), logging={"access": {"enabled": False}})
class Titanic:
    """Gives probabilities."""

    def __init__(self) -> None:
        """Load the trees."""
        self.booster = xgboost.Booster(model_file=os.environ["PEER_MODEL"] + "/model.ubj")

    @bentoml.api
    async def predict(self, rows: np.ndarray) -> np.ndarray:
        """Score rows of encoded features."""
        return self.booster.predict(xgboost.DMatrix(rows, nthread=1))
