"""Checks custom resources against the model classes that KServe publishes of its own API."""

from __future__ import annotations

import re
from typing import Any

import kserve.models
import kubernetes.client.models

PLAIN = {"str": str, "int": int, "float": (int, float), "bool": bool, "object": object}
# Quantities, and numbers that may also be names, are written in more than one way.
LOOSE = {"IntstrIntOrString", "ResourceQuantity", "V1Time", "datetime"}


def check_custom(document: dict[str, Any]) -> None:
    """Build the document with KServe's classes.

    Raises:
        ValueError: A field is unknown, missing, or of another type.
    """
    version = document["apiVersion"].rpartition("/")[2].capitalize()
    _build(f"{version}{document['kind']}", document, document["kind"])


def _build(kind: str, value: Any, path: str) -> Any:
    if kind in PLAIN:
        is_right = isinstance(value, PLAIN[kind]) and not (
            kind in ("int", "float") and isinstance(value, bool)
        )
        if not is_right:
            raise ValueError(f"{path}: got {value!r}, want {kind}")
        return value
    if kind in LOOSE:
        return value
    if match := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            raise ValueError(f"{path}: got {value!r}, want a list")
        return [_build(match[1], item, f"{path}[{i}]") for i, item in enumerate(value)]
    if match := re.fullmatch(r"dict\(str, (.+)\)", kind):
        return {name: _build(match[1], item, f"{path}.{name}") for name, item in value.items()}
    return _build_model(kind, value, path)


def _build_model(kind: str, value: Any, path: str) -> Any:
    model = getattr(kserve.models, kind, None) or getattr(kubernetes.client.models, kind)
    names = {key: name for name, key in model.attribute_map.items()}
    unknown = sorted(set(value) - set(names))
    if unknown:
        raise ValueError(f"{path}: got {unknown}, want of {sorted(names)}")
    given = {
        names[key]: _build(model.openapi_types[names[key]], item, f"{path}.{key}")
        for key, item in value.items()
    }
    return model(**given)
