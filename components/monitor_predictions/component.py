"""Monitoring of one batch as a component."""

from typing import NamedTuple

from kfp import dsl

from dalsegno import images


@dsl.component(base_image=images.TRAINING, install_kfp_package=False)
def monitor_predictions(
    predictions: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    entity: str,
    target: str,
    slices: list,
    released_recently: bool = False,
    alpha: float = 0.001,
    drift_floor: float = 0.1,
    design_effect: float = 4.0,
    quality_floor: float = 0.03,
    bias_floor: float = 0.1,
) -> NamedTuple("Outputs", [("alarms", list), ("action", str), ("drift_share", float)]):
    """Raise alarms on a batch of predictions.

    Args:
        predictions: Parquet, one row a prediction: features, `probability`, `decision`, `release`,
            and the target once labels have come.
        model: Folder of the model that predicted, with its baseline.
        entity: Column that tells the rows apart.
        target: Label column; it may be absent or empty.
        slices: Columns by whose values bias is looked for.
        released_recently: Whether a loss of quality may be the release's fault.
        alpha: Chance of any false alarm in one batch, for drift, quality and bias each.
        drift_floor: PSI that is never a drift.
        design_effect: Rows that count as one for drift, because they come in families.
        quality_floor: Loss of AUC that is never an alarm.
        bias_floor: Gap of a slice that is never an alarm.

    Returns:
        report: Alarms first, then a plot of each drifted column, then everything else.
        metrics: `rows`, `alarms`, `drift_share`, and `auc`, `log_loss` when labels have come.
        alarms: Each with `kind`, `subject`, `got`, `want`, `severity`.
        action: none, freeze, retrain or roll_back.
        drift_share: Share (0-1) of the features that drifted.
    """
    from dataclasses import asdict
    from pathlib import Path

    import pandas as pd

    from components.monitor_predictions import logic
    from components.monitor_predictions import report as pages
    from components.monitor_predictions.findings import Baseline, MonitorSettings
    from dalsegno.monitoring.drift import DriftSettings

    found = logic.monitor(
        pd.read_parquet(predictions.path),
        Baseline.read(Path(model.path)),
        MonitorSettings(
            drift=DriftSettings(alpha=alpha, floor=drift_floor, design_effect=design_effect),
            alpha=alpha,
            quality_floor=quality_floor,
            bias_floor=bias_floor,
        ),
        entity=entity,
        target=target,
        slices=slices,
        released_recently=released_recently,
    )
    Path(report.path).write_text(pages.render(found))
    for name, value in found.metrics().items():
        metrics.log_metric(name, value)
    return [asdict(alarm) for alarm in found.alarms], found.action, found.drift.drift_share
