"""A store in a Google Cloud Storage bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dalsegno.errors import ConfigurationError, InfrastructureError, NotFoundError
from dalsegno.store.base import ObjectStat
from dalsegno.store.digest import HashingReader
from dalsegno.store.keys import check_key, check_prefix
from dalsegno.store.remote import CONNECT_SECONDS, PART_BYTES, READ_SECONDS, RemoteStore

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
_TIMEOUT = (CONNECT_SECONDS, READ_SECONDS)
_PATIENCE_SECONDS = 20
_LOG_IN = "gcloud auth application-default login"


class GCSStore(RemoteStore):
    """Objects of a GCS bucket, by Google's default credentials.

    Args:
        uri: `gs://bucket/prefix`.
    """

    def put(self, key: str, data: bytes) -> None:
        """See `Store.put`."""
        from io import BytesIO

        check_key(key)
        self._patiently(lambda: self._send(key, HashingReader(BytesIO(data)), len(data)))

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """See `Store.list`."""
        below = self._name(check_prefix(prefix))
        fields = "items(name,size,updated),nextPageToken"
        with self._answers(prefix or "objects"):
            for blob in self._client.list_blobs(
                self.bucket, prefix=below, fields=fields, timeout=_TIMEOUT, retry=_retry()
            ):
                if self._is_ours(blob.name):
                    yield self._stat(blob)

    def folders(self, prefix: str = "") -> Sequence[str]:
        """See `Store.folders`."""
        below = self._name(check_prefix(prefix))
        fields = "prefixes,nextPageToken"
        with self._answers(prefix or "objects"):
            found = self._client.list_blobs(
                self.bucket,
                prefix=below,
                delimiter="/",
                fields=fields,
                timeout=_TIMEOUT,
                retry=_retry(),
            )
            for _ in found.pages:
                pass
        names = (name.rstrip("/") for name in found.prefixes)
        return sorted(name.rpartition("/")[2] for name in names if self._is_ours(name))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with suppress(NotFoundError), self._answers(check_key(key)):
            self._blob(key).delete(timeout=_TIMEOUT, retry=_retry())

    def _look(self, key: str) -> tuple[ObjectStat, str]:
        with self._answers(key):
            blob = self._blob(key)
            blob.reload(timeout=_TIMEOUT, retry=_retry())
        return self._stat(blob), str(blob.generation)

    def _read(
        self, key: str, version: str | None = None, start: int = 0, size: int | None = None
    ) -> Iterator[bytes]:
        with self._answers(key):
            yield self._blob(key, version).download_as_bytes(
                start=start if size else None,
                end=start + size - 1 if size else None,
                timeout=_TIMEOUT,
                retry=_retry(),
            )

    def _send(self, key: str, stream: HashingReader, size: int) -> None:
        blob = self._blob(key)
        blob.chunk_size = PART_BYTES
        with self._answers(key):
            blob.upload_from_file(
                stream, size=size, content_type=_BYTES, timeout=_TIMEOUT, retry=_retry()
            )

    def _create(self, key: str, data: bytes) -> None:
        """Send without retries: a second attempt would find what the first has written."""
        with self._answers(key):
            self._blob(key).upload_from_string(
                data, _BYTES, if_generation_match=0, timeout=_TIMEOUT, retry=None
            )

    def _blob(self, key: str, generation: str | None = None) -> Blob:
        bucket = self._client.bucket(self.bucket)
        return bucket.blob(self._name(key), generation=int(generation) if generation else None)

    def _stat(self, blob: Any) -> ObjectStat:
        return ObjectStat(blob.name.removeprefix(self._below), blob.size, blob.updated)

    @cached_property
    def _client(self) -> Client:
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client

        if os.environ.get(EMULATOR_VARIABLE):
            return Client(project="emulator", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        try:
            return Client()
        except (GoogleAuthError, OSError) as error:
            got = "no Google credentials"
            raise ConfigurationError(f"store {self.uri}: got {got}, want some", _LOG_IN) from error

    @contextmanager
    def _answers(self, key: str) -> Iterator[None]:
        """Turn what Google's libraries raise into errors of ours."""
        from google.api_core import exceptions as google
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from requests import RequestException

        try:
            yield
        except google.NotFound as error:
            if "bucket does not exist" in str(error):
                raise self._misfit(error) from error
            raise NotFoundError(f"{self.uri}/{key}: got no such object, want one") from error
        except google.PreconditionFailed as error:
            raise self._taken(key) from error
        except (google.Unauthorized, google.Forbidden, google.BadRequest) as error:
            raise self._misfit(error) from error
        except (
            google.GoogleAPIError,
            TransportError,
            InvalidResponse,
            DataCorruption,
            RequestException,
            OSError,
        ) as error:
            message = f"store {self.uri}: got {type(error).__name__}, want an answer"
            raise InfrastructureError(message, f"gcloud storage ls gs://{self.bucket}") from error
        except GoogleAuthError as error:
            raise self._misfit(error) from error

    def _misfit(self, error: Exception) -> ConfigurationError:
        got = str(error).partition("\n")[0][:100]
        return ConfigurationError(
            f"store {self.uri}: got {got}, want a bucket and account that fit", _LOG_IN
        )


_BYTES = "application/octet-stream"


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(_PATIENCE_SECONDS).with_delay(initial=0.2, maximum=5)
