"""Makes a table of what a live model answered, so that monitoring judges real traffic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dalsegno import releases
from dalsegno.errors import InputError
from dalsegno.serving import feedback, history
from dalsegno.store import Store

if TYPE_CHECKING:
    import pandas as pd


def by_live_model(store: Store, endpoint: str, predictions: pd.DataFrame) -> pd.DataFrame:
    """Choose the live model's answers out of logged predictions, in that model's own names.

    Args:
        store: Of releases and labels.
        endpoint: Whose predictions these are.
        predictions: As `history.read` gives them.

    Returns:
        The columns of `history.as_examples`; the model's target with the labels that have come; and
        in the column of its entity the id of each answer with its row, `<id>/<row>`.

    Raises:
        NotFoundError: The endpoint has no release.
        InputError: The live model answered none of them.
    """
    live = releases.live(store, endpoint)
    if live is None:
        raise releases.log.unknown(store, endpoint)
    is_live = predictions["model_sha256"] == live.model_sha256
    mine = predictions[is_live & (predictions["role"] != "shadow") & (predictions["error"] == "")]
    if mine.empty:
        want = f"some of release {live.number}, which is live"
        raise InputError(f"predictions: got {len(predictions)} of other releases, want {want}")
    signature = json.loads(store.get(f"{live.model_key}/signature.json"))
    labelled = feedback.join(store, endpoint, mine, name=signature["target"])
    ids = labelled["prediction_id"] + "/" + labelled["row"].astype(str)
    return history.as_examples(labelled.assign(**{signature["entity"]: ids}))
