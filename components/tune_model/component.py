"""KFP edge of `tune_model`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def tune_model(
    train: dsl.Input[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    features: list,
    target: str,
    trials: int = 20,
    seed: int = 0,
) -> dict:
    """Search hyper-parameters for boosted trees by cross-validation.

    Args:
        train: Parquet, one row an entity, labelled.
        features: Columns to learn from.
        target: Label column, 0 or 1.
        trials: Sets to try.
        seed: Of folds, search and row and column samples.

    Returns:
        report: History of the search.
        Output: Hyper-parameters with the smallest log loss, for train_model.
    """
    from pathlib import Path

    import pandas as pd

    from components.tune_model import logic

    tuning = logic.tune(
        pd.read_parquet(train.path), features=features, target=target, trials=trials, seed=seed
    )
    Path(report.path).parent.mkdir(parents=True, exist_ok=True)
    Path(report.path).write_text(logic.render(tuning))
    return tuning.hyper_parameters
