"""Where `replay --in kind` and `--in cluster` find their cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dalsegno.replay.capsule import Capsule
    from dalsegno.replay.outcome import Replayed
    from dalsegno.settings import Settings
    from dalsegno.store import Store

# What `dalsegno kind up` forwards, and the keys that its overlay gives to the store.
_KIND = {
    "kfp_host": "http://127.0.0.1:8888",
    "kfp_ui_host": "http://127.0.0.1:8080",
    "s3_endpoint_rewrite": "seaweedfs.kubeflow:9000=http://127.0.0.1:9000",
}


def play_there(
    capsule: Capsule, tell: Callable[[str], None], *, is_kind: bool, seconds: float | None = None
) -> Replayed:
    """Play a capsule on a cluster: the kind cluster of this machine, or that of the settings."""
    from dalsegno.cluster.access import cluster_access
    from dalsegno.cluster.api import KfpApi
    from dalsegno.cluster.sources import open_sources
    from dalsegno.replay.on_cluster import Cluster, play_on_cluster
    from dalsegno.settings import load_settings, open_artifact_store

    settings = load_settings()
    if is_kind:
        settings = with_kind(settings)
    access = cluster_access(settings)
    root = settings.kfp_pipeline_root

    def open_bucket(uri: str, *, endpoint: str | None = None) -> Store:
        return open_artifact_store(uri, endpoint=endpoint, settings=settings)

    api = KfpApi(access)
    api.check_version()
    cluster = Cluster(api, open_sources(access, root, open_bucket), open_bucket(root), open_bucket)
    return play_on_cluster(capsule, cluster, tell, seconds=seconds)


def with_kind(settings: Settings) -> Settings:
    """Fill in what the kind cluster of this machine forwards; what is set stays."""
    missing = {name: value for name, value in _KIND.items() if getattr(settings, name) is None}
    return settings.model_copy(update=missing)
