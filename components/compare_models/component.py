"""The gate as a component."""

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def compare_models(
    challenger: dsl.Input[dsl.Model],
    champion: dsl.Input[dsl.Model],
    golden: dsl.Input[dsl.Dataset],
    validation: dsl.Input[dsl.Dataset],
    verdict: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    target: str,
    slices: list,
    min_auc: float = 0.75,
    margin: float = 0.01,
    slice_margin: float = 0.05,
    confidence: float = 0.95,
    bootstraps: int = 1000,
    min_golden_rows: int = 5000,
    max_drift_share: float = 0.3,
    seed: int = 0,
) -> bool:
    """Decide whether a challenger may replace the champion.

    Args:
        challenger: Model folder that would be released.
        champion: Model folder in production; without `model.onnx` there is none yet.
        golden: Parquet, the fixed evaluation set, one labelled row an entity.
        validation: Parquet, fresh labelled rows.
        target: Label column, 0 or 1.
        slices: Columns by whose values both models are compared apart.
        min_auc: Floor for the challenger on the golden set (0-1), with or without a champion.
        margin: Loss of AUC against the champion that must be ruled out.
        slice_margin: Loss of AUC within a slice that must not be proven.
        confidence: With which losses are ruled out or proven, one-sided (0.5-1).
        bootstraps: Draws an interval.
        min_golden_rows: With fewer golden rows nothing is blessed.
        max_drift_share: Share (0-1) of features that makes the golden set stale by drifting.
        seed: Seed of the draws.

    Returns:
        verdict: JSON with `blessed`, `reasons`, `interval`, `power`, `slices`, `drifted`.
        report: The verdict with its plots.
        Output: Whether the challenger may be released; why is in the verdict's metadata.
    """
    import json
    from pathlib import Path

    import pandas as pd

    from components.compare_models import logic
    from components.compare_models import report as pages
    from components.compare_models.verdict import GateSettings
    from dalsegno.model import ScoringModel

    settings = GateSettings(
        min_auc=min_auc,
        margin=margin,
        slice_margin=slice_margin,
        confidence=confidence,
        bootstraps=bootstraps,
        seed=seed,
        min_golden_rows=min_golden_rows,
        max_drift_share=max_drift_share,
    )
    new = ScoringModel.load(Path(challenger.path))
    has_champion = (Path(champion.path) / "model.onnx").exists()
    old = ScoringModel.load(Path(champion.path)) if has_champion else None
    fixed, fresh = pd.read_parquet(golden.path), pd.read_parquet(validation.path)
    scored = logic.score("golden dataset", fixed, target, new, old)
    drift = logic.golden_drift(fixed, fresh, logic.features_of(new, old))
    decided = logic.compare(
        scored,
        logic.score("validation split", fresh, target, new, old),
        logic.slice_columns(fixed, slices),
        drift,
        settings,
    )
    Path(verdict.path).write_text(json.dumps(decided.as_json(), indent=2))
    Path(report.path).write_text(pages.render(decided, scored, drift))
    verdict.metadata["blessed"] = decided.blessed
    verdict.metadata["reasons"] = decided.reasons
    return decided.blessed
