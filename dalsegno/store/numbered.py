"""Append-only logs of immutable, numbered documents: `<prefix>/<n>.json`, the highest counts."""

from __future__ import annotations

import json
import re
from typing import Any

from dalsegno.errors import ConflictError, InfrastructureError, InputError
from dalsegno.store.base import Store
from dalsegno.store.keys import check_key

_OBJECT = re.compile(r"([1-9][0-9]{0,11})\.json")


class Numbered:
    """One log of documents in a store.

    Args:
        store: Where the log is.
        prefix: Folder of keys that holds the log and nothing else.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = check_key(prefix)

    def numbers(self) -> list[int]:
        """Return the numbers taken so far, ascending."""
        names = (
            stat.key.removeprefix(f"{self._prefix}/") for stat in self._store.list(self._prefix)
        )
        return sorted(int(found[1]) for name in names if (found := _OBJECT.fullmatch(name)))

    def get(self, number: int) -> dict[str, Any]:
        """Return one document.

        Raises:
            NotFoundError: The number is not taken.
        """
        key = self._key(number)
        try:
            document = json.loads(self._store.get(key))
        except ValueError as error:
            message = f"{self._store.uri_of(key)}: got no JSON, want a document"
            raise InfrastructureError(message) from error
        if not isinstance(document, dict):
            subject = self._store.uri_of(key)
            raise InfrastructureError(f"{subject}: got JSON, want an object of JSON")
        return document

    def latest(self) -> tuple[int, dict[str, Any]] | None:
        """Return the highest number and its document, None of an empty log."""
        numbers = self.numbers()
        return (numbers[-1], self.get(numbers[-1])) if numbers else None

    def create(self, number: int, document: dict[str, Any]) -> None:
        """Add a document under a number.

        Raises:
            ConflictError: The number is taken.
        """
        content = json.dumps(document, indent=2, sort_keys=True, allow_nan=False)
        try:
            self._store.create(self._key(number), content.encode())
        except ConflictError as error:
            raise ConflictError(
                f"{self._prefix}: got number {number} taken, want it free"
            ) from error

    def _key(self, number: int) -> str:
        key = f"{self._prefix}/{number}.json"
        if not _OBJECT.fullmatch(f"{number}.json"):
            raise InputError(f"{self._prefix}: got number {number}, want 1 or more")
        return key
