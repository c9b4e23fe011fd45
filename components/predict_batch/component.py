"""KFP edge of `predict_batch`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def predict_batch(
    examples: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    predictions: dsl.Output[dsl.Dataset],
    release: int = 0,
) -> None:
    """Score a table with a trained model.

    Args:
        examples: Parquet, one row an entity, every feature of the model among its columns.
        model: Model folder.
        release: Number of the release that the model is; 0 when it was never released.

    Returns:
        predictions: Parquet, all columns of `examples` and `probability` (0-1), `decision` (0 or
            1), `release`; metadata `rows`, `positive_share` (0-1), `release`.
    """
    from pathlib import Path

    from components.predict_batch import logic
    from dalsegno.errors import NotFoundError
    from dalsegno.model import ScoringModel

    folder = Path(model.path)
    if not (folder / "model.onnx").is_file():
        raise NotFoundError(
            "model: got no champion, want a released model", "dalsegno run training"
        )
    scorer = ScoringModel.load(folder)
    done = logic.predict_file(Path(examples.path), scorer, release, Path(predictions.path))
    predictions.metadata.update(rows=done.rows, positive_share=done.positive_share, release=release)
