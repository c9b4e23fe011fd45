"""The model registry: the only package that touches MLflow.

MLflow records what was trained and names the versions `challenger` and `champion`. What is served
is decided by the releases; nothing is uploaded to MLflow, and nothing is pickled.
"""

from __future__ import annotations

from dalsegno.registry.connection import SWITCHES
from dalsegno.registry.versions import (
    ModelVersion,
    register,
    set_challenger,
    set_champion,
    versions,
)

__all__ = ["SWITCHES", "ModelVersion", "register", "set_challenger", "set_champion", "versions"]
