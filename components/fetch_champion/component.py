"""KFP edge of `dalsegno.releases.fetch_model`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def fetch_champion(champion: dsl.Output[dsl.Model], endpoint: str) -> int:
    """Fetch the model that an endpoint serves now.

    Args:
        endpoint: Name of the endpoint.

    Returns:
        champion: Model folder, verified by its digest; empty when there is no release yet.
        Output: Number of the release, 0 when there is none yet.
    """
    from pathlib import Path

    from dalsegno import releases
    from dalsegno.settings import open_default_store

    store, path = open_default_store(), Path(champion.path)
    release = releases.live(store, endpoint)
    if release is None:
        path.mkdir(parents=True, exist_ok=True)
        return 0
    releases.fetch_model(store, release, path)
    champion.metadata["release"] = release.number
    champion.metadata["model_sha256"] = release.model_sha256
    return release.number
