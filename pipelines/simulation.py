"""Simulated arrivals of passengers, for trying out what monitoring and retraining do."""

from kfp import dsl

from components.generate_passengers.component import generate_passengers
from components.ingest_examples.component import ingest_examples
from components.publish_dataset.component import publish_dataset
from pipelines import settings, titanic


@dsl.pipeline(name="simulation", pipeline_config=settings.PIPELINE)
def simulation(
    scenario: str = "none",
    rows: int = 2000,
    seed: int = 1,
    arrivals: str = titanic.PARAMETERS["arrivals"],
    tables_uri: str = titanic.PARAMETERS["tables_uri"],
) -> str:
    """Generate a batch of passengers like those in the tables, or unlike in a chosen way.

    Args:
        scenario: none, covariate, label, concept or broken.
        rows: Passengers to generate.
        seed: Seed of the batch.
        arrivals: Name to publish the batch by.
        tables_uri: Real tables to draw from.

    Returns:
        Where the batch is, for `tables_uri` of the feature pipeline: `dataset://name@number`.
    """
    donors = ingest_examples(tables_uri=tables_uri)
    generated = generate_passengers(
        donors=donors.outputs["examples"], scenario=scenario, rows=rows, seed=seed
    )
    published = publish_dataset(
        data=generated.outputs["examples"], name=arrivals, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER
    )
    settings.configure(donors, generated, published)
    return published.outputs["uri"]
