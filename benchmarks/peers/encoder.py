"""The encoder that training wrote beside the trees, for peers that take a row as ours does."""

import json
from pathlib import Path

from dalsegno.encoding import Encoder, Imputation


def read_encoder(model: Path) -> Encoder:
    """Read a model folder's encoder."""
    document = json.loads((model / "encoder.json").read_text())
    rules = {name: Imputation(**rule) for name, rule in document["imputation"].items()}
    return Encoder(**{**document, "imputation": rules})
