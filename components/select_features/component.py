"""KFP edge of `select_features`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def select_features(
    train: dsl.Input[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
    entity: str,
    target: str,
    gain_share: float = 0.995,
    seed: int = 0,
) -> list:
    """Select the fewest features that carry nearly all the gain of XGBoost's splits.

    Args:
        train: Parquet, one row an entity, labelled; every other column is looked at.
        entity: Column that tells the rows apart.
        target: Label column, 0 or 1.
        gain_share: Share (0-1) of the total gain that the features must have together.
        seed: Of row and column samples.

    Returns:
        report: Bars of the gain shares.
        Output: Names of the features, the most important first.
    """
    from pathlib import Path

    import pandas as pd

    from components.select_features import logic

    selection = logic.select(
        pd.read_parquet(train.path), entity=entity, target=target, gain_share=gain_share, seed=seed
    )
    Path(report.path).parent.mkdir(parents=True, exist_ok=True)
    Path(report.path).write_text(logic.render(selection))
    return selection.kept
