"""KFP edge of `build_features`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def build_features(
    examples: dsl.Input[dsl.Dataset],
    features: dsl.Output[dsl.Dataset],
    sql: str,
    entity: str,
    sample_share: float = 1.0,
    seed: int = 0,
) -> None:
    """Compute features from raw tables with one SQL query.

    Args:
        examples: Folder of `<table>.parquet`.
        sql: One SELECT over the tables, in DuckDB's dialect; it can read nothing else.
        entity: Column that identifies a row.
        sample_share: Share of the entities to keep, above 0 and at most 1.
        seed: Of the sample.

    Returns:
        features: Parquet, one row an entity, sorted by it; metadata `rows`, `columns` and
            `features_digest` (SHA-256 of the query and the settings).
    """
    from pathlib import Path

    from components.build_features import logic

    tables, output = Path(examples.path), Path(features.path)
    built = logic.build_features(tables, output, sql, entity, sample_share, seed)
    digest = logic.features_digest(sql, entity, sample_share, seed)
    features.metadata.update(rows=built.rows, columns=built.columns, features_digest=digest)
