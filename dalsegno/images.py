"""The container images of the components, one constant a family, and how they are renamed.

A component names the constant, which is frozen when the component is imported; where the images lie
elsewhere, or are of other code, the compiled text is rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping

DATA = "ghcr.io/dalsegno/data-python:0.1.0"
TRAINING = "ghcr.io/dalsegno/training-python:0.1.0"
SERVING = "ghcr.io/dalsegno/serving-python:0.1.0"
MLFLOW = "ghcr.io/dalsegno/mlflow:0.1.0"

FAMILIES = {"data": DATA, "training": TRAINING, "serving": SERVING, "mlflow": MLFLOW}
"""Image by family, which is also the target in `docker/Dockerfile`."""

PREFIX = "ghcr.io/dalsegno"


def image_name(family: str, prefix: str, tag: str) -> str:
    """Name a family's image: `prefix/name:tag`, or `prefix/name@sha256:…` where that is the tag."""
    name = FAMILIES[family].rpartition("/")[2].partition(":")[0]
    separator = "@" if tag.startswith("sha256:") else ":"
    return f"{prefix.rstrip('/')}/{name}{separator}{tag}"


def rename_images(text: str, names: Mapping[str, str]) -> str:
    """Put other images into a compiled text in the place of ours.

    Args:
        text: Compiled YAML.
        names: Image by family.
    """
    for family, name in names.items():
        text = text.replace(FAMILIES[family], name)
    return text
