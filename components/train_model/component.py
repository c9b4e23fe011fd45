"""KFP edge of `train_model`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def train_model(
    train: dsl.Input[dsl.Dataset],
    validation: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    features: list,
    target: str,
    entity: str,
    hyper_parameters: dict = {},  # noqa: B006 (KFP takes literals)
    impute_by: dict = {},  # noqa: B006
    dataset: str = "",
    features_digest: str = "",
    seed: int = 0,
) -> None:
    """Fit boosted trees with their encoding on labelled examples.

    Args:
        train: Parquet, one row an entity, no row of another split; all that is fitted comes from
            here.
        validation: Parquet, likewise; its log loss ends the boosting.
        features: Columns to learn from, in order.
        target: Label column, 0 or 1.
        entity: Column that tells the rows apart.
        hyper_parameters: As tune_model returns them; defaults for those that are absent.
        impute_by: Number column to the text column whose groups' medians fill it in; other missing
            numbers go where the trees have learned.
        dataset: Data set reference, `name@number`, for the lineage.
        features_digest: SHA-256 of the feature SQL and settings, for the lineage.
        seed: Of row and column samples.

    Returns:
        model: Folder: `model.onnx` (encoding, imputation and trees), `model.ubj`, `encoder.json`,
            `signature.json`, `training.json`, `baseline.json`, `example.json`.
        metrics: On the validation split `auc` (0-1) and `log_loss`; `rows` trained on,
            `best_iteration`.
    """
    from pathlib import Path

    import pandas as pd

    from components.train_model import logic
    from dalsegno.commit import current_commit
    from dalsegno.store.digest import digest_of

    settings = logic.TrainingSettings(features, hyper_parameters, entity, target, impute_by, seed)
    frames = pd.read_parquet(train.path), pd.read_parquet(validation.path)
    trained = logic.train(*frames, settings)
    digest = digest_of(Path(train.path)).sha256
    lineage = logic.Lineage(dataset, digest, features_digest, current_commit())
    folder = Path(model.path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in logic.model_files(trained, lineage).items():
        (folder / name).write_bytes(content)
    metrics.metadata.update(trained.metrics)
