"""The first run of everything: the other pipelines, one after the other."""

from kfp import dsl

from pipelines import settings, titanic
from pipelines.feature import feature
from pipelines.inference import inference
from pipelines.monitoring import monitoring
from pipelines.simulation import simulation
from pipelines.training import training


@dsl.pipeline(name="loop", pipeline_config=settings.PIPELINE)
def loop(
    tables_uri: str = titanic.PARAMETERS["tables_uri"],
    reserve_rows: int = 8000,
    reserve_share: float = 0.75,
    trials: int = 20,
    seed: int = 0,
) -> str:
    """Build features, train and release a model, predict with it, and monitor it.

    Args:
        tables_uri: Real tables.
        reserve_rows: Passengers to generate for the golden data set.
        reserve_share: Share of them to keep (0-1).
        trials: Hyper-parameter sets to try.
        seed: Seed of everything.

    Returns:
        The action that monitoring asks for.
    """
    simulated = simulation(rows=reserve_rows, seed=1000, arrivals=titanic.PARAMETERS["reserve_raw"])
    reserved = feature(
        tables_uri=simulated.output,
        dataset=titanic.PARAMETERS["reserve"],
        sample_share=reserve_share,
        seed=seed,
    )
    built = feature(tables_uri=tables_uri, seed=seed)
    trained = training(dataset=built.output, reserve=reserved.output, trials=trials, seed=seed)
    predicted = inference(dataset=built.output).after(trained)
    monitored = monitoring(predictions=predicted.output)
    return monitored.output
