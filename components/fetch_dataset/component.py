"""KFP edge of `dalsegno.datasets.fetch`."""

from typing import NamedTuple

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def fetch_dataset(
    data: dsl.Output[dsl.Dataset], dataset: str, is_optional: bool = False
) -> NamedTuple("Outputs", [("version", str), ("features_digest", str)]):
    """Fetch a published version of a data set.

    Args:
        dataset: `name` (latest) or `name@number`.
        is_optional: Whether `dataset` may be empty, for no data.

    Returns:
        data: File or folder as it was published, verified by its digest; an empty folder for none.
        version: Reference of exactly this version, `name@number`; empty for none.
        features_digest: SHA-256 of the SQL and settings it was built with; empty if it was not.
    """
    from pathlib import Path

    from dalsegno import datasets
    from dalsegno.settings import open_default_store

    if is_optional and not dataset:
        Path(data.path).mkdir(parents=True, exist_ok=True)
        return ("", "")
    version = datasets.fetch(open_default_store(), dataset, Path(data.path))
    data.metadata["dataset"] = version.ref
    return (version.ref, version.metadata.get("features_digest", ""))
