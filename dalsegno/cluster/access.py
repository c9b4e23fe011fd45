"""Where a cluster is and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dalsegno.errors import ConfigurationError

if TYPE_CHECKING:
    from dalsegno.settings import Settings

_PORT_FORWARD = "kubectl -n kubeflow port-forward svc/ml-pipeline 8888:8888"


@dataclass(frozen=True)
class ClusterAccess:
    """How the services of Kubeflow Pipelines are reached.

    Attributes:
        host: URL of the API server, without a slash behind it.
        ui_host: URL of the UI, through which ML Metadata answers too.
        namespace: Namespace of the runs; None where KFP serves one user.
        token: Bearer token, which `repr` leaves out.
        ca_file: Certificates to trust.
        verify_tls: Whether certificates are checked.
        timeout_seconds: How long one call may take.
        mlmd_address: `host:port` of ML Metadata.
        kubernetes_context: Context of kubectl's configuration.
    """

    host: str
    ui_host: str | None = None
    namespace: str | None = None
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    verify_tls: bool = True
    timeout_seconds: float = 30.0
    mlmd_address: str | None = None
    kubernetes_context: str | None = None


def cluster_access(
    settings: Settings,
    host: str | None = None,
    namespace: str | None = None,
    token: str | None = None,
) -> ClusterAccess:
    """Return how the cluster is reached: by what is given here, else by the settings.

    Raises:
        ConfigurationError: No host is set.
    """
    secret = settings.kfp_token.get_secret_value() if settings.kfp_token else None
    address = host or settings.kfp_host
    if not address:
        raise ConfigurationError(
            "KFP: got no host, want the URL of its API server or UI",
            f"{_PORT_FORWARD} & export DALSEGNO_KFP_HOST=http://127.0.0.1:8888",
        )
    if not address.startswith(("http://", "https://")):
        raise ConfigurationError(f"KFP: got host {address!r}, want http://… or https://…")
    return ClusterAccess(
        address.rstrip("/"),
        settings.kfp_ui_host,
        namespace or settings.kfp_namespace,
        token or secret,
        settings.kfp_ca_file,
        settings.kfp_verify_tls,
        settings.kfp_timeout_seconds,
        settings.mlmd_address,
        settings.kubernetes_context,
    )
