"""KFP edge of `dalsegno.releases.roll_back`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def roll_back(
    endpoint: str,
    reason: str = "asked for",
    who: str = "pipeline",
    run_id: str = "",
) -> int:
    """Return an endpoint to the release that was live before.

    Args:
        endpoint: Name of the endpoint.
        reason: Why, in a few words.
        who: Person or pipeline that rolls back.
        run_id: Run that rolls back; a run does it once, however often the task is tried.

    Returns:
        Output: Number of the new release.
    """
    from dalsegno import releases
    from dalsegno.settings import open_default_store

    store = open_default_store()
    release = releases.roll_back(store, endpoint, reason=reason, who=who, run_id=run_id)
    releases.follow(release, store=store)
    return release.number
