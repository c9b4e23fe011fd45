"""From raw tables to a published version of the features."""

from typing import Any, NamedTuple

from kfp import dsl

from components.build_features.component import build_features
from components.ingest_examples.component import ingest_examples
from components.publish_dataset.component import publish_dataset
from components.validate_examples.component import validate_examples
from pipelines import settings, titanic


class Features(NamedTuple):
    """The tasks from raw tables to a published version of the features."""

    validated: dsl.PipelineTask
    built: dsl.PipelineTask
    published: dsl.PipelineTask


def publish_features(
    tables: Any,
    *,
    schema: Any,
    sql: Any,
    entity: Any,
    dataset: Any,
    sample_share: Any = 1.0,
    seed: Any = 0,
) -> Features:
    """Compose from ingested tables to a version; the settings are those of the pipeline."""
    validated = validate_examples(examples=tables, schema=schema)
    built = build_features(
        examples=tables, sql=sql, entity=entity, sample_share=sample_share, seed=seed
    ).after(validated)
    published = publish_dataset(
        data=built.outputs["features"], name=dataset, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER
    )
    settings.configure(validated, built, published)
    return Features(validated, built, published)


@dsl.pipeline(name="feature", pipeline_config=settings.PIPELINE)
def feature(
    tables_uri: str = titanic.PARAMETERS["tables_uri"],
    schema: dict = titanic.PARAMETERS["schema"],
    sql: str = titanic.PARAMETERS["sql"],
    entity: str = titanic.PARAMETERS["entity"],
    dataset: str = titanic.PARAMETERS["dataset"],
    sample_share: float = 1.0,
    seed: int = 0,
) -> str:
    """Ingest tables, stop on broken ones, build features with SQL, publish them.

    Args:
        tables_uri: Folder of CSV or Parquet tables: path, s3://, gs://, package:// or dataset://.
        schema: What the tables must be like, by table and column.
        sql: One SELECT over the tables, one row an entity.
        entity: Column that tells the rows apart.
        dataset: Name to publish the features by.
        sample_share: Share of the entities to keep (0-1).
        seed: Seed of the sampling.

    Returns:
        Reference of the published version, `name@number`.
    """
    ingested = ingest_examples(tables_uri=tables_uri)
    settings.configure(ingested)
    made = publish_features(
        ingested.outputs["examples"],
        schema=schema,
        sql=sql,
        entity=entity,
        dataset=dataset,
        sample_share=sample_share,
        seed=seed,
    )
    return made.published.outputs["dataset"]
