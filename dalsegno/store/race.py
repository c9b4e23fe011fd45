"""A race that finds stores on which "create only if absent" does not hold.

A store may answer a second create with a conflict and still let creators at one moment all win;
releases would then be lost without a word. So a store is raced once before it is trusted.
"""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

from dalsegno.errors import ConfigurationError, ConflictError, NotFoundError
from dalsegno.store.base import Store

FOLDER = "races"
_PASSED = f"{FOLDER}/passed"


def check_create_only(store: Store, *, rounds: int = 5, writers: int = 8) -> None:
    """Let writers create the same fresh key at once, and expect one winner whose content stands.

    Args:
        store: The store to be trusted with releases; left as it was.
        rounds: Number of races.
        writers: Threads in each race.

    Raises:
        ConfigurationError: Not exactly one writer won, or another's content stands.
    """
    race = f"{FOLDER}/{secrets.token_hex(8)}"
    with ThreadPoolExecutor(writers) as pool:
        for number in range(rounds):
            key = f"{race}/{number}"
            try:
                _check_round(store, key, pool, writers)
            finally:
                store.delete(key)


def check_once(store: Store) -> None:
    """Race a store before its first release, and remember that it passed.

    Raises:
        ConfigurationError: It must not be trusted; see `check_create_only`.
    """
    try:
        store.stat(_PASSED)
    except NotFoundError:
        check_create_only(store)
        store.put(_PASSED, b"")


def _check_round(store: Store, key: str, pool: ThreadPoolExecutor, writers: int) -> None:
    start = threading.Barrier(writers)

    def create(writer: int) -> bool:
        start.wait()
        try:
            store.create(key, str(writer).encode())
        except ConflictError:
            return False
        return True

    won = [writer for writer, did in enumerate(pool.map(create, range(writers))) if did]
    if len(won) != 1 or store.get(key) != str(won[0]).encode():
        raise ConfigurationError(
            f"store {store.uri}: got {len(won)} winners of {writers} that create one object at"
            " once, want 1. Releases are not safe here: use a server that honours If-None-Match"
            " (a newer version of this one may), or a folder"
        )
