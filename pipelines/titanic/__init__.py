"""The use case Titanic: who survived, of the passengers of 14 April 1912."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.use_case import load_use_case

PARAMETERS: dict[str, Any] = load_use_case(Path(__file__).parent)
