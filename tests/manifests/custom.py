"""Checks custom resources against the model classes that KServe publishes of its own API.

In a process of its own: to import KServe registers protocol messages that Triton's client, which
other tests import, registers too.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from typing import Any

PLAIN = {"str": str, "int": int, "float": (int, float), "bool": bool, "object": object}
# Quantities, and numbers that may also be names, are written in more than one way.
LOOSE = {"IntstrIntOrString", "ResourceQuantity", "V1Time", "datetime"}


def check_custom(document: dict[str, Any]) -> None:
    """Build the document with KServe's classes.

    Raises:
        ValueError: A field is unknown, missing, or of another type.
    """
    checker = _checker()
    assert checker.stdin is not None
    assert checker.stdout is not None
    checker.stdin.write(json.dumps(document) + "\n")
    checker.stdin.flush()
    answer = json.loads(checker.stdout.readline())
    if answer:
        raise ValueError(answer)


@functools.cache
def _checker() -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "tests.manifests.custom"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Answer each document on standard input, a line each, with what is wrong with it, or ""."""
    for line in sys.stdin:
        document = json.loads(line)
        version = document["apiVersion"].rpartition("/")[2].capitalize()
        wrong = ""
        try:
            _build(f"{version}{document['kind']}", document, document["kind"])
        except (ValueError, AttributeError) as error:
            wrong = str(error) or repr(error)
        sys.stdout.write(json.dumps(wrong) + "\n")
        sys.stdout.flush()


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
    import kserve.models
    import kubernetes.client.models

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


if __name__ == "__main__":
    main()
