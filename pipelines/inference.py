"""Predictions for a batch of features with the model in production."""

from typing import Any

from kfp import dsl

from components.fetch_champion.component import fetch_champion
from components.fetch_dataset.component import fetch_dataset
from components.predict_batch.component import predict_batch
from components.publish_dataset.component import publish_dataset
from pipelines import settings, titanic


def publish_predictions(
    examples: Any, model: Any, *, release: Any, name: Any
) -> tuple[dsl.PipelineTask, dsl.PipelineTask]:
    """Compose from features and a released model to published predictions.

    Returns:
        The tasks that predict and publish.
    """
    predicted = predict_batch(examples=examples, model=model, release=release)
    published = publish_dataset(
        data=predicted.outputs["predictions"],
        name=name,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    )
    settings.configure(predicted, published)
    return predicted, published


@dsl.pipeline(name="inference", pipeline_config=settings.PIPELINE)
def inference(
    dataset: str = titanic.PARAMETERS["dataset"],
    endpoint: str = titanic.PARAMETERS["endpoint"],
    predictions: str = titanic.PARAMETERS["predictions"],
) -> str:
    """Predict a batch with the champion and publish the predictions.

    Args:
        dataset: Features to predict for, `name` (latest) or `name@number`.
        endpoint: Whose live release predicts.
        predictions: Name to publish the predictions by.

    Returns:
        Reference of the published predictions, `name@number`.
    """
    fetched = fetch_dataset(dataset=dataset)
    champion = fetch_champion(endpoint=endpoint)
    settings.configure(fetched, champion)
    _, published = publish_predictions(
        fetched.outputs["data"],
        champion.outputs["champion"],
        release=champion.outputs["Output"],
        name=predictions,
    )
    return published.outputs["dataset"]
