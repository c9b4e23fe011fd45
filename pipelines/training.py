"""From a version of the features to a release, if the gate lets it through."""

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


@dsl.pipeline(name="training", pipeline_config=settings.PIPELINE)
def training(
    dataset: str = titanic.PARAMETERS["dataset"],
    reserve: str = titanic.PARAMETERS["reserve"],
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
        reserve: Labelled features that go to the golden data set whole.
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
        seed: Seed of splits, search and training.

    Returns:
        Whether the gate blessed the challenger.
    """
    fetched = fetch_dataset(dataset=dataset)
    reserved = fetch_dataset(dataset=reserve)
    assembled = assemble_examples(
        features=fetched.outputs["data"],
        golden_features=reserved.outputs["data"],
        entity=entity,
        target=target,
        leaks=leaks,
        seed=seed,
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
        dataset=fetched.outputs["version"],
        features_digest=fetched.outputs["features_digest"],
        seed=seed,
    )
    challenger = trained.outputs["model"]
    evaluated = evaluate_model(model=challenger, test=assembled.outputs["test"], slices=slices)
    champion = fetch_champion(endpoint=endpoint)
    compared = compare_models(
        challenger=challenger,
        champion=champion.outputs["champion"],
        golden=settled.outputs["golden"],
        validation=validation,
        target=target,
        slices=slices,
        min_auc=min_auc,
        margin=margin,
        seed=seed,
    )
    registered = register_model(
        model=challenger,
        metrics=evaluated.outputs["metrics"],
        name=endpoint,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    )
    with dsl.If(compared.outputs["Output"] == True):  # noqa: E712 (KFP builds an expression)
        promoted = promote_model(
            model=challenger,
            verdict=compared.outputs["verdict"],
            endpoint=endpoint,
            version=registered.output,
            golden=settled.outputs["Output"],
            run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        )
    settings.configure(fetched, reserved, assembled, settled, selected, tuned)
    settings.configure(trained, evaluated, champion, compared, registered, promoted)
    return compared.outputs["Output"]
