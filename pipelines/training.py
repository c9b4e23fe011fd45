"""From a version of the features to a release, if the gate lets it through."""

from typing import Any, NamedTuple

from kfp import dsl

from components.assemble_examples.component import assemble_examples
from components.compare_models.component import compare_models
from components.evaluate_model.component import evaluate_model
from components.fetch_champion.component import fetch_champion
from components.fetch_dataset.component import fetch_dataset
from components.promote_model.component import promote_model
from components.register_model.component import register_model
from components.renew_golden.component import renew_golden as renew_golden_dataset
from components.select_features.component import select_features
from components.train_model.component import train_model
from components.tune_model.component import tune_model
from pipelines import settings, titanic


class Challenge(NamedTuple):
    """A trained and registered challenger, and what the gate says of it."""

    model: Any
    blessed: Any
    verdict: Any
    version: Any
    golden: Any


def challenge(
    features: Any,
    reserve: Any,
    *,
    dataset: Any,
    features_digest: Any,
    golden: Any,
    endpoint: Any,
    entity: Any,
    target: Any,
    slices: Any,
    leaks: Any,
    impute_by: Any,
    trials: Any,
    seed: Any,
    renew_golden: Any = False,
    **gate: Any,
) -> Challenge:
    """Compose from features to the gate's verdict; the settings are those of the pipeline.

    The splits do without the seed, so that no run trains on rows of the golden data set.
    """
    assembled = assemble_examples(
        features=features, golden_features=reserve, entity=entity, target=target, leaks=leaks
    )
    train, validation = assembled.outputs["train"], assembled.outputs["validation"]
    settled = renew_golden_dataset(
        candidate=assembled.outputs["golden"],
        name=golden,
        renew=renew_golden,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    )
    selected = select_features(train=train, entity=entity, target=target, seed=seed)
    tuned = tune_model(
        train=train, features=selected.outputs["Output"], target=target, trials=trials, seed=seed
    )
    trained = train_model(
        train=train,
        validation=validation,
        features=selected.outputs["Output"],
        hyper_parameters=tuned.outputs["Output"],
        entity=entity,
        target=target,
        impute_by=impute_by,
        dataset=dataset,
        features_digest=features_digest,
        seed=seed,
    )
    model = trained.outputs["model"]
    evaluated = evaluate_model(model=model, test=assembled.outputs["test"], slices=slices)
    champion = fetch_champion(endpoint=endpoint)
    compared = compare_models(
        challenger=model,
        champion=champion.outputs["champion"],
        golden=settled.outputs["golden"],
        validation=validation,
        target=target,
        slices=slices,
        seed=seed,
        **gate,
    )
    registered = register_model(
        model=model,
        metrics=evaluated.outputs["metrics"],
        name=endpoint,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    )
    settings.configure(assembled, settled, selected, tuned, trained)
    settings.configure(evaluated, champion, compared, registered)
    return Challenge(
        model=model,
        blessed=compared.outputs["Output"],
        verdict=compared.outputs["verdict"],
        version=registered.output,
        golden=settled.outputs["Output"],
    )


def promote(challenger: Challenge, endpoint: Any) -> dsl.PipelineTask:
    """Release a challenger; to be called where the gate has blessed it."""
    promoted = promote_model(
        model=challenger.model,
        verdict=challenger.verdict,
        endpoint=endpoint,
        version=challenger.version,
        golden=challenger.golden,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    )
    settings.configure(promoted)
    return promoted


@dsl.pipeline(name="training", pipeline_config=settings.PIPELINE)
def training(
    dataset: str = titanic.PARAMETERS["dataset"],
    reserve: str = "",
    golden: str = titanic.PARAMETERS["golden"],
    renew_golden: bool = False,
    endpoint: str = titanic.PARAMETERS["endpoint"],
    entity: str = titanic.PARAMETERS["entity"],
    target: str = titanic.PARAMETERS["target"],
    slices: list = titanic.PARAMETERS["slices"],
    leaks: list = titanic.PARAMETERS["leaks"],
    impute_by: dict = titanic.PARAMETERS["impute_by"],
    trials: int = 20,
    min_auc: float = 0.75,
    margin: float = 0.01,
    seed: int = 0,
) -> bool:
    """Tune and train a challenger, compare it with the champion, promote it if it may pass.

    Args:
        dataset: Labelled features, `name` (latest) or `name@number`.
        reserve: Labelled features for the golden data set alone, beside the test split; or none.
        golden: Name of the golden data set.
        renew_golden: Publish a new version of the golden data set first.
        endpoint: Where the model is released.
        entity: Column that tells the rows apart.
        target: Label column, 0 or 1.
        slices: Columns by whose values the model is judged apart.
        leaks: Columns that give the label away, and must be absent.
        impute_by: Number columns to fill with the median of a group: {column: group column}.
        trials: Hyper-parameter sets to try.
        min_auc: Floor for every model (0-1).
        margin: Loss of AUC against the champion that is still tolerated.
        seed: Seed of search and training; the splits go by the entities' names alone.

    Returns:
        Whether the gate blessed the challenger.
    """
    fetched = fetch_dataset(dataset=dataset)
    reserved = fetch_dataset(dataset=reserve, is_optional=True)
    settings.configure(fetched, reserved)
    challenger = challenge(
        fetched.outputs["data"],
        reserved.outputs["data"],
        dataset=fetched.outputs["version"],
        features_digest=fetched.outputs["features_digest"],
        golden=golden,
        renew_golden=renew_golden,
        endpoint=endpoint,
        entity=entity,
        target=target,
        slices=slices,
        leaks=leaks,
        impute_by=impute_by,
        trials=trials,
        min_auc=min_auc,
        margin=margin,
        seed=seed,
    )
    with dsl.If(challenger.blessed == True):  # noqa: E712 (KFP builds an expression)
        promote(challenger, endpoint)
    return challenger.blessed
