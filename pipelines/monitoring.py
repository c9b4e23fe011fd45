"""Looks at a batch of predictions, raises alarms, and acts on the worst."""

from typing import Any

from kfp import dsl

from components.fetch_champion.component import fetch_champion
from components.fetch_dataset.component import fetch_dataset
from components.monitor_predictions.component import monitor_predictions
from components.roll_back.component import roll_back
from pipelines import settings, titanic


def watch(
    predictions: Any,
    model: Any,
    *,
    endpoint: Any,
    entity: Any,
    target: Any,
    slices: Any,
    released_recently: Any,
) -> dsl.PipelineTask:
    """Compose from predictions to a rollback; the settings are those of the pipeline.

    Returns:
        The task that monitors.
    """
    monitored = monitor_predictions(
        predictions=predictions,
        model=model,
        entity=entity,
        target=target,
        slices=slices,
        released_recently=released_recently,
    )
    with dsl.If(monitored.outputs["action"] == "roll_back"):
        rolled_back = roll_back(
            endpoint=endpoint,
            reason="quality fell right after a release",
            run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        )
    settings.configure(monitored, rolled_back)
    return monitored


@dsl.pipeline(name="monitoring", pipeline_config=settings.PIPELINE)
def monitoring(
    predictions: str = titanic.PARAMETERS["predictions"],
    endpoint: str = titanic.PARAMETERS["endpoint"],
    entity: str = titanic.PARAMETERS["entity"],
    target: str = titanic.PARAMETERS["target"],
    slices: list = titanic.PARAMETERS["slices"],
    released_recently: bool = False,
) -> str:
    """Compare a batch of predictions with what the champion was trained on.

    Args:
        predictions: Published predictions, `name` (latest) or `name@number`.
        endpoint: Whose live release they are compared with.
        entity: Column that tells the rows apart.
        target: Label column; quality is judged once it is there.
        slices: Columns by whose values bias is judged.
        released_recently: A loss of quality then rolls the release back.

    Returns:
        The action that the alarms ask for: none, freeze, retrain or roll_back.
    """
    fetched = fetch_dataset(dataset=predictions)
    champion = fetch_champion(endpoint=endpoint)
    settings.configure(fetched, champion)
    monitored = watch(
        fetched.outputs["data"],
        champion.outputs["champion"],
        endpoint=endpoint,
        entity=entity,
        target=target,
        slices=slices,
        released_recently=released_recently,
    )
    return monitored.outputs["action"]
