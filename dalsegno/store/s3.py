"""A store in an S3 bucket, of AWS or of any server that speaks S3."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dalsegno.errors import (
    ConfigurationError,
    DalsegnoError,
    InfrastructureError,
    NotFoundError,
)
from dalsegno.store.access import S3Access
from dalsegno.store.base import ObjectStat
from dalsegno.store.digest import BLOCK_BYTES, HashingReader
from dalsegno.store.keys import check_key, check_prefix
from dalsegno.store.remote import (
    ATTEMPTS,
    CONNECT_SECONDS,
    PART_BYTES,
    READ_SECONDS,
    WORKERS,
    RemoteStore,
)

if TYPE_CHECKING:
    import urllib3
    from minio import Minio
    from minio.credentials import Provider

SCHEMES = ("s3", "minio")
_MAX_PARTS = 9_000  # S3 allows 10,000
_OK, _NOT_FOUND, _IN_PROGRESS, _PRECONDITION_FAILED = 200, 404, 409, 412
_WORTH_A_RETRY = (408, 425, 429)
_SERVER_FAULT = 500
_KEYS = "export DALSEGNO_S3_ACCESS_KEY=… DALSEGNO_S3_SECRET_KEY=…"


class S3Store(RemoteStore):
    """Objects of an S3 bucket.

    Args:
        uri: `s3://bucket/prefix` or `minio://bucket/prefix`.
        access: How the server is reached; None leaves it to AWS's environment names, files and
            instance roles.
    """

    def __init__(self, uri: str, access: S3Access | None = None) -> None:
        super().__init__(uri)
        self._access = access or S3Access()

    def put(self, key: str, data: bytes) -> None:
        """See `Store.put`."""
        from io import BytesIO

        check_key(key)
        self._patiently(lambda: self._send(key, HashingReader(BytesIO(data)), len(data)))

    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """See `Store.list`; sorted here, as not every server sorts by whole key."""
        found = [
            self._stat(item.object_name, item.size, item.last_modified)
            for item in self._items(prefix, recursive=True)
            if not item.is_dir and self._is_ours(item.object_name)
        ]
        yield from sorted(found, key=lambda stat: stat.key)

    def folders(self, prefix: str = "") -> Sequence[str]:
        """See `Store.folders`."""
        items = self._items(prefix, recursive=False)
        names = (item.object_name.rstrip("/") for item in items if item.is_dir)
        return sorted(name.rpartition("/")[2] for name in names if self._is_ours(name))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with self._answers(check_key(key)):
            self._client.remove_object(self.bucket, self._name(key))

    def key_of(self, uri: str) -> str:
        """See `Store.key_of`; `s3://` and `minio://` mean the same."""
        scheme, separator, rest = uri.partition("://")
        same = separator and scheme in SCHEMES
        return super().key_of(f"{urlsplit(self.uri).scheme}://{rest}" if same else uri)

    def _look(self, key: str) -> tuple[ObjectStat, str]:
        with self._answers(key):
            found = self._client.stat_object(self.bucket, self._name(key))
        return self._stat(found.object_name, found.size, found.last_modified), found.etag or ""

    def _read(
        self, key: str, version: str | None = None, start: int = 0, size: int | None = None
    ) -> Iterator[bytes]:
        headers = {"If-Match": f'"{version}"'} if version else None
        with self._answers(key):
            answer = self._client.get_object(
                self.bucket, self._name(key), start, size or 0, request_headers=headers
            )
            try:
                yield from answer.stream(BLOCK_BYTES)
            except BaseException:
                answer.close()
                raise
            finally:
                answer.release_conn()

    def _send(self, key: str, stream: HashingReader, size: int) -> None:
        part = max(PART_BYTES, -(-size // (_MAX_PARTS * BLOCK_BYTES)) * BLOCK_BYTES)
        with self._answers(key):
            self._client.put_object(
                self.bucket,
                self._name(key),
                stream,
                size,
                part_size=part,
                num_parallel_uploads=WORKERS,
            )

    def _create(self, key: str, data: bytes) -> None:
        """Presign the request: minio's own `put_object` has no way to send `If-None-Match`."""
        from urllib3 import Retry

        only_unsent = Retry(connect=ATTEMPTS, read=0, status=0, other=0, redirect=0)
        status, body = 0, b""
        for _ in range(ATTEMPTS):
            with self._answers(key):
                url = self._client.get_presigned_url(
                    "PUT", self.bucket, self._name(key), timedelta(minutes=10)
                )
                answer = self._pool.request(
                    "PUT", url, body=data, headers={"If-None-Match": "*"}, retries=only_unsent
                )
            status, body = answer.status, answer.data
            if status != _IN_PROGRESS:
                break
            time.sleep(0.2)  # AWS: another create is under way, ask again
        if status != _OK:
            raise self._refusal(key, status, _code_in(body))

    def _items(self, prefix: str, *, recursive: bool) -> Iterator[Any]:
        below = self._name(check_prefix(prefix))
        with self._answers(prefix or "objects"):
            yield from self._client.list_objects(self.bucket, below, recursive=recursive)

    def _stat(self, name: str | None, size: int | None, modified_at: Any) -> ObjectStat:
        return ObjectStat((name or "").removeprefix(self._below), size or 0, modified_at)

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        return _pool(ATTEMPTS, CONNECT_SECONDS, READ_SECONDS)

    @cached_property
    def _client(self) -> Minio:
        from minio import Minio

        access = self._access
        try:
            return Minio(
                access.endpoint,
                access.access_key,
                access.secret_key,
                secure=access.secure,
                region=access.region,
                http_client=self._pool,
                credentials=None if access.access_key else _aws_credentials(),
            )
        except ValueError as error:
            raise ConfigurationError(f"store {self.uri}: got {error}, want host:port") from error

    @contextmanager
    def _answers(self, key: str) -> Iterator[None]:
        """Turn what minio and urllib3 raise into errors of ours."""
        from minio.error import InvalidResponseError, MinioException, S3Error
        from urllib3.exceptions import HTTPError

        try:
            yield
        except S3Error as error:
            raise self._refusal(key, error.response.status, error.code or "") from error
        except InvalidResponseError as error:
            want = "one of S3: is this its port?"
            raise InfrastructureError(f"store {self.uri}: got {error}, want {want}") from error
        except (HTTPError, MinioException, OSError) as error:
            got = type(getattr(error, "reason", None) or error).__name__
            message = f"store {self.uri}: got {got} from {self._access.endpoint}, want an answer"
            raise InfrastructureError(message, self._knock()) from error
        except ValueError as error:
            raise ConfigurationError(f"store {self.uri}: got {error}, want another") from error

    def _refusal(self, key: str, status: int, code: str) -> DalsegnoError:
        if status == _PRECONDITION_FAILED:
            return self._taken(key)
        if status == _NOT_FOUND and code != "NoSuchBucket":
            return NotFoundError(f"{self.uri}/{key}: got no such object, want one")
        message = f"store {self.uri}: got {status} {code} from {self._access.endpoint}"
        if status >= _SERVER_FAULT or status in (_IN_PROGRESS, *_WORTH_A_RETRY):
            return InfrastructureError(f"{message}, want an answer", self._knock())
        return ConfigurationError(f"{message}, want a bucket, keys and region that fit", _KEYS)

    def _knock(self) -> str:
        """Return the command that shows whether the server answers at all."""
        return f"curl -I http{'s' if self._access.secure else ''}://{self._access.endpoint}"


def _pool(retries: int, connect_seconds: float, read_seconds: float) -> urllib3.PoolManager:
    import certifi
    import urllib3

    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=connect_seconds, read=read_seconds),
        maxsize=2 * WORKERS,
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        retries=urllib3.Retry(
            retries,
            read=1,  # a server that keeps silent does so again
            backoff_factor=0.3,
            status_forcelist=[500, 502, 503, 504],
            raise_on_status=False,
        ),
    )


def _aws_credentials() -> Provider:
    """Return AWS's chain: environment, files, role of the pod or machine."""
    from minio.credentials import (
        AWSConfigProvider,
        ChainedProvider,
        EnvAWSProvider,
        IamAwsProvider,
    )
    from urllib3.exceptions import HTTPError

    role = IamAwsProvider(http_client=_pool(1, connect_seconds=1, read_seconds=5))
    chain = ChainedProvider([EnvAWSProvider(), AWSConfigProvider(), role])
    try:
        chain.retrieve()
    except (ValueError, HTTPError, OSError) as error:
        got = "no keys in settings, AWS_… variables, ~/.aws or the machine's role"
        raise ConfigurationError(f"S3: got {got}, want some", _KEYS) from error
    return chain


def _code_in(body: bytes) -> str:
    start, end = body.find(b"<Code>"), body.find(b"</Code>")
    return body[start + len(b"<Code>") : end].decode(errors="replace") if 0 <= start < end else ""
