"""YAML that KFP's servers read as it was meant.

PyYAML leaves some strings unquoted that the parser of Go takes for numbers: `1e3`, `08`, `0o17`. A
digest such as `12e45` would arrive as a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?0o[0-7_]+")
_BOOLEAN = re.compile(r"[yYnN]")
_SUSPECT = re.compile(r"(?m)[-:] +(?:[-+.]?[0-9][0-9.]*[eE][-+0-9]+|[-+]?0[o0-9]\S*|[yYnN])$")


class _Dumper(yaml.SafeDumper):
    """Quotes each string that Go would take for something else."""


for _pattern, _first in ((_NUMBER, "-+.0123456789"), (_BOOLEAN, "yYnN")):
    _Dumper.add_implicit_resolver(
        "tag:dalsegno:other", re.compile(f"^(?:{_pattern.pattern})$"), list(_first)
    )


def dump(documents: Sequence[Any]) -> str:
    """Write documents as YAML that Go and Python read alike."""
    return str(yaml.dump_all(documents, Dumper=_Dumper, sort_keys=True, allow_unicode=True))


def for_go(text: str) -> str:
    """Return a compiled text; written anew if Go could read a string of it as a number."""
    if not _SUSPECT.search(text):
        return text
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dump([item for item in yaml.load_all(text, Loader=loader) if item is not None])
