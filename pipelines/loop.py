"""The first run of everything: the tasks of the other pipelines, with no fetches in between."""

from kfp import dsl

from components.build_features.component import build_features
from components.generate_passengers.component import generate_passengers
from components.ingest_examples.component import ingest_examples
from pipelines import settings, titanic
from pipelines.feature import publish_features
from pipelines.inference import publish_predictions
from pipelines.monitoring import watch
from pipelines.training import challenge, promote

CASE = titanic.PARAMETERS
RESERVE_SEED = 1000  # its passengers are in no batch with another seed


@dsl.pipeline(name="loop", pipeline_config=settings.PIPELINE)
def loop(
    tables_uri: str = CASE["tables_uri"],
    reserve_rows: int = 8000,
    trials: int = 20,
    seed: int = 0,
) -> bool:
    """Build features, train and release a model, predict with it, monitor it.

    Args:
        tables_uri: Real tables.
        reserve_rows: Passengers to generate for the golden data set.
        trials: Hyper-parameter sets to try.
        seed: Seed of search and training.

    Returns:
        Whether the gate blessed the model; only then is it released, used and monitored.
    """
    ingested = ingest_examples(tables_uri=tables_uri)
    tables = ingested.outputs["examples"]
    made = publish_features(
        tables,
        schema=CASE["schema"],
        sql=CASE["sql"],
        entity=CASE["entity"],
        dataset=CASE["dataset"],
    )
    generated = generate_passengers(donors=tables, rows=reserve_rows, seed=RESERVE_SEED).after(
        made.validated
    )
    reserve = build_features(
        examples=generated.outputs["examples"], sql=CASE["sql"], entity=CASE["entity"]
    )
    settings.configure(ingested, generated, reserve)
    challenger = challenge(
        made.built.outputs["features"],
        reserve.outputs["features"],
        dataset=made.published.outputs["dataset"],
        features_digest=made.published.outputs["features_digest"],
        golden=CASE["golden"],
        endpoint=CASE["endpoint"],
        entity=CASE["entity"],
        target=CASE["target"],
        slices=CASE["slices"],
        leaks=CASE["leaks"],
        impute_by=CASE["impute_by"],
        trials=trials,
        seed=seed,
    )
    with dsl.If(challenger.blessed == True):  # noqa: E712 (KFP builds an expression)
        released = promote(challenger, CASE["endpoint"])
        predicted, _ = publish_predictions(
            made.built.outputs["features"],
            challenger.model,
            release=released.output,
            name=CASE["predictions"],
        )
        watch(
            predicted.outputs["predictions"],
            challenger.model,
            endpoint=CASE["endpoint"],
            entity=CASE["entity"],
            target=CASE["target"],
            slices=CASE["slices"],
            released_recently=True,
        )
    return challenger.blessed
