"""From raw tables to a published version of the features."""

from kfp import dsl

from components.build_features.component import build_features
from components.ingest_examples.component import ingest_examples
from components.publish_dataset.component import publish_dataset
from components.validate_examples.component import validate_examples
from pipelines import settings, titanic


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
    validated = validate_examples(examples=ingested.outputs["examples"], schema=schema)
    built = build_features(
        examples=ingested.outputs["examples"],
        sql=sql,
        entity=entity,
        sample_share=sample_share,
        seed=seed,
    ).after(validated)
    published = publish_dataset(
        data=built.outputs["features"], name=dataset, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER
    )
    settings.configure(ingested, validated, built, published)
    return published.outputs["dataset"]
