"""How an S3 store is reached."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class S3Access:
    """Where an S3 server is and who asks; without it minio's chain of AWS providers decides.

    Attributes:
        endpoint: `host` or `host:port`.
        access_key: Name of the account; None takes both keys from the AWS chain.
        secret_key: Its secret, which `repr` leaves out.
        region: Region of the bucket; None asks the server.
        secure: Whether to speak TLS.
    """

    endpoint: str = "s3.amazonaws.com"
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    region: str | None = None
    secure: bool = True
