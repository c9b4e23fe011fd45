"""From a URI to a store."""

from __future__ import annotations

from pathlib import Path

from dalsegno.errors import ConfigurationError
from dalsegno.store.access import S3Access
from dalsegno.store.base import Store
from dalsegno.store.file import FileStore


def open_store(uri: str, access: S3Access | None = None) -> Store:
    """Open the store at a URI; nothing is read or written yet.

    Args:
        uri: A path, `file:///path`, `s3://bucket/prefix`, `minio://bucket/prefix` or
            `gs://bucket/prefix`.
        access: How to reach an S3 server.

    Raises:
        ConfigurationError: The URI names no kind of store, or no bucket.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return FileStore(Path(uri))
    if scheme == "file" and rest.startswith("/"):
        return FileStore(Path(rest))
    if scheme in ("s3", "minio"):
        from dalsegno.store.s3 import S3Store

        return S3Store(uri, access)
    if scheme == "gs":
        from dalsegno.store.gcs import GCSStore

        return GCSStore(uri)
    raise ConfigurationError(
        f"store: got {uri!r}, want a path, file:///…, s3://bucket/…, minio://bucket/… or gs://…"
    )
