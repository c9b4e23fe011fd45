"""KFP edge of `dalsegno.datasets.publish`."""

from typing import NamedTuple

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def publish_dataset(data: dsl.Input[dsl.Dataset], name: str, run_id: str = "") -> NamedTuple(
    "Outputs", [("dataset", str), ("uri", str), ("features_digest", str)]
):
    """Publish a file or folder as the next version of a data set.

    Args:
        data: What to publish; the content of the latest version again makes no new one.
        name: Name of the data set.
        run_id: Run that publishes.

    Returns:
        dataset: Reference of the version, `name@number`.
        uri: The same for who takes a place to read from, `dataset://name@number`.
        features_digest: SHA-256 of the SQL and settings it was built with; empty if it was not.
    """
    from pathlib import Path

    from dalsegno import datasets
    from dalsegno.settings import open_default_store

    version = datasets.publish(
        open_default_store(),
        name,
        Path(data.path),
        run_id=run_id or None,
        metadata=data.metadata,
    )
    features_digest = version.metadata.get("features_digest", "")
    return (version.ref, f"dataset://{version.ref}", features_digest)
