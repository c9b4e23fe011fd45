"""KFP edge of `dalsegno.releases.promote`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def promote_model(
    model: dsl.Input[dsl.Model],
    verdict: dsl.Input[dsl.Artifact],
    endpoint: str,
    version: str = "",
    golden: str = "",
    who: str = "pipeline",
    reason: str = "blessed by the gate",
    run_id: str = "",
) -> int:
    """Release a blessed model to an endpoint; another verdict is refused.

    Args:
        model: Model folder.
        verdict: JSON of the gate with `blessed` and `reasons`; kept as the release's evidence.
        endpoint: Name of the endpoint.
        version: Version in the registry; the alias `champion` then follows.
        golden: Reference of the golden data set that the verdict rests on.
        who: Person or pipeline that releases.
        reason: Why, in a few words.
        run_id: Run that trained the model; a run releases a model once.

    Returns:
        Output: Number of the release.
    """
    import json
    from pathlib import Path

    from dalsegno import releases
    from dalsegno.settings import open_default_store

    evidence = json.loads(Path(verdict.path).read_bytes())
    releases.require_blessed(evidence)
    store = open_default_store()
    release = releases.promote(
        store,
        endpoint,
        Path(model.path),
        reason=reason,
        who=who,
        evidence=evidence,
        golden=golden,
        version=version,
        run_id=run_id,
    )
    releases.follow(release, store=store)
    return release.number
