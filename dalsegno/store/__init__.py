"""Object store: a folder, S3 or GCS, behind one interface."""

from __future__ import annotations

from dalsegno.store.access import S3Access
from dalsegno.store.base import ObjectStat, Store
from dalsegno.store.digest import Digest, digest_of
from dalsegno.store.opening import open_store

__all__ = ["Digest", "ObjectStat", "S3Access", "Store", "digest_of", "open_store"]
