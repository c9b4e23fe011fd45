"""KFP edge of the golden data set's versions."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def renew_golden(
    candidate: dsl.Input[dsl.Dataset],
    golden: dsl.Output[dsl.Dataset],
    name: str,
    renew: bool = False,
    run_id: str = "",
) -> str:
    """Settle which version of the golden data set gates this run.

    Args:
        candidate: Parquet, labelled rows that become the next version when one is due.
        name: Name of the golden data set.
        renew: Publish the candidate though there is a version already.
        run_id: Run that publishes.

    Returns:
        golden: Parquet, the rows of the version.
        Output: Reference of the version, `name@number`.
    """
    from pathlib import Path

    from dalsegno import datasets
    from dalsegno.settings import open_default_store

    store = open_default_store()
    if renew or name not in datasets.names(store):
        datasets.publish(store, name, Path(candidate.path), run_id=run_id or None)
    version = datasets.fetch(store, name, Path(golden.path))
    golden.metadata["dataset"] = version.ref
    return version.ref
