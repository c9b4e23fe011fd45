"""KFP edge of `evaluate_model`."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def evaluate_model(
    model: dsl.Input[dsl.Model],
    test: dsl.Input[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    slices: list = [],  # noqa: B006 (KFP takes literals)
) -> float:
    """Judge a model on examples that it has never seen.

    Args:
        model: Folder as train_model writes it.
        test: Parquet, one row an entity, labelled.
        slices: Columns by whose values the model is judged apart.

    Returns:
        metrics: `auc`, `brier`, `calibration_error`, `accuracy`, `f1` (0-1), `log_loss`, `rows`,
            and by slice `auc.<column>.<value>` and so on.
        report: ROC curve, calibration and slices.
        Output: AUC (0-1).
    """
    from pathlib import Path

    import pandas as pd

    from components.evaluate_model import logic
    from dalsegno.labels import read_labels
    from dalsegno.model import ScoringModel

    scorer = ScoringModel.load(Path(model.path))
    frame, target = pd.read_parquet(test.path), scorer.signature["target"]
    probabilities = scorer.predict(frame)
    found = logic.evaluate(
        frame, probabilities, target=target, threshold=scorer.threshold, slices=slices
    )
    metrics.metadata.update(logic.flatten(found))
    labels = read_labels("test split", frame, target)
    Path(report.path).parent.mkdir(parents=True, exist_ok=True)
    Path(report.path).write_text(logic.render(found, labels, probabilities))
    return found.scores["auc"]
